"""Trains GRPO, and is killed where it is told to be: `python fault_run.py DIRECTORY WHERE STEP`."""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from datasets import Dataset

from sternpost.grpo.config import GRPOConfig
from sternpost.grpo.trainer import GRPOTrainer
from tests import tiny

path, where, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def length(completion_ids, trainer_state, **kwargs):
    if where == "reward" and trainer_state.global_step == step:
        die()
    return [float(sum(ids) % 7) for ids in completion_ids]


class Killed(GRPOTrainer):
    def compute_loss(self, *args, **kwargs):
        if where == "loss" and self.state.global_step == step and self.micro_step % 2:
            die()
        return super().compute_loss(*args, **kwargs)


class KilledWhileSaving(GRPOTrainer):
    def _save_optimizer_and_scheduler(self, output_dir):
        if where == "saving" and self.state.global_step == step:
            die()
        super()._save_optimizer_and_scheduler(output_dir)


def main() -> None:
    rows = [{"prompt": " ".join(tiny.WORDS[at : at + 2])} for at in range(12)]
    args = GRPOConfig(
        str(path), report_to="none", disable_tqdm=True, save_strategy="steps", save_steps=1, logging_steps=1,
        learning_rate=1e-2, max_steps=4, per_device_train_batch_size=4, gradient_accumulation_steps=2,
        num_generations=4, num_iterations=2, max_completion_length=6, optim="sgd", bf16=False, use_cpu=True,
    )  # fmt: skip
    kind = KilledWhileSaving if where == "saving" else Killed
    trainer = kind(tiny.model(), length, args, Dataset.from_list(rows), processing_class=tiny.tokenizer())
    trainer.train(resume_from_checkpoint=any(path.glob("checkpoint-*")) or None)
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    weights = torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])
    (path / "result.json").write_text(json.dumps({"losses": losses, "weights": weights.double().tolist()}))


if __name__ == "__main__":
    main()
