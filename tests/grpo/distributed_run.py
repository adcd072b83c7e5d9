"""Runs GRPO and RLOO as one of several processes, and writes down what was logged."""

import json
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from datasets import Dataset
from torch.distributed.tensor import DTensor

from sternpost.generation.backend import Completion
from sternpost.grpo.config import GRPOConfig
from sternpost.grpo.trainer import GRPOTrainer
from sternpost.rloo.config import RLOOConfig
from sternpost.rloo.trainer import RLOOTrainer

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests import tiny
from tests.processes import leave, shard_on_cpus

COMMON = dict(
    report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, learning_rate=1e-2, max_steps=3,
    num_generations=4, max_completion_length=6, lr_scheduler_type="constant", optim="sgd", use_cpu=True,
    seed=3, bf16=False,
)  # fmt: skip


class Scripted:
    """Completions of a prompt, the same whichever process draws which of them."""

    def __init__(self, straddling):
        self.skip = 2 * PartialState().process_index if straddling and PartialState().num_processes > 1 else 0

    def sync(self, model):
        pass

    def sample(self, groups, sampling):
        return [self.members(group)[self.skip : self.skip + group.count] for group in groups]

    def members(self, group):
        draw = torch.Generator().manual_seed(sum(group.prompt) + 31 * len(group.prompt))
        found = []
        for _ in range(self.skip + group.count):
            length = int(torch.randint(1, 7, (1,), generator=draw))
            ids = torch.randint(5, 300, (length,), generator=draw).tolist()
            found.append(Completion(ids, [-5.7] * length, finished=length < 6))
        return found


def sums(completion_ids, target, log_metric, **kwargs):
    """The same for all completions of some prompts; a metric that only one process may log."""
    if 0 in target:
        log_metric("zeros", float(target.count(0)))
    return [float(len(ids)) if aim % 3 else 1.0 for ids, aim in zip(completion_ids, target, strict=True)]


def roll_out(told):
    """A roll-out function that knows log-probabilities on these ranks only."""

    def function(prompts, trainer):
        logps = [-5.7, -5.7] if PartialState().process_index in told else None
        ids = [[5 + len(str(prompt)), 6 + at] for at, prompt in enumerate(prompts)]
        return {"prompt_ids": [[5, 6]] * len(ids), "completion_ids": ids, "logprobs": [logps] * len(ids)}

    return function


def main() -> None:
    out, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
    rows = [
        {"prompt": [{"role": "user", "content": " ".join(tiny.WORDS[at : at + 2])}], "target": at} for at in range(12)
    ]
    if any("fsdp" in case for case in cases.values()):
        shard_on_cpus()
    found = {}
    for name, case in cases.items():
        found[name] = trained(dict(case), rows, out.with_suffix("") / name)
    if PartialState().is_main_process:
        out.write_text(json.dumps(found))
    leave()


def trained(case: dict, rows: list[dict], path: Path) -> dict:
    kind, config = (RLOOTrainer, RLOOConfig) if case.pop("rloo", False) else (GRPOTrainer, GRPOConfig)
    straddling, resume = case.pop("straddling", False), case.pop("resume", False)
    engine, told = case.pop("engine", False), case.pop("told", None)
    saving = {"save_strategy": "steps", "save_steps": 1} if resume else {}

    def make():
        args = config(str(path), **{**COMMON, **case, **saving})
        return kind(
            tiny.model(), sums, args, Dataset.from_list(rows), Dataset.from_list(rows[:4]),
            processing_class=tiny.tokenizer(), backend=None if engine else Scripted(straddling),
            **({} if told is None else {"rollout_func": roll_out(told)}),
        )  # fmt: skip

    trainer = make()
    trainer.train()
    if resume:
        trainer = make()
        trainer.train(resume_from_checkpoint=str(path / f"checkpoint-{int(resume)}"))
    lines = [line for line in trainer.state.log_history if "loss" in line]
    metrics = {} if straddling else trainer.evaluate()
    state = trainer.accelerator.get_state_dict(trainer.model)
    weights = [value.float().norm().item() for value in state.values()] if state else []
    sharded = all(isinstance(weight, DTensor) for weight in trainer.model.parameters())
    return {"lines": lines, "eval": metrics, "weights": weights, "sharded": sharded}


if __name__ == "__main__":
    main()
