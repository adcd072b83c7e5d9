"""Trains one case in one library and returns what it did in every step."""

import tempfile
from dataclasses import dataclass
from typing import Any

import torch
import trl
from datasets import Dataset
from peft import LoraConfig

import sternpost

from . import data, models

LIBRARIES = {"trl": trl, "sternpost": sternpost}
STEPS = 3
OPTIONS = {
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "max_steps": STEPS,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "train_sampling_strategy": "sequential",
    # Plain descent, so that weights after a step depend on gradients as smoothly as the gradients themselves.
    "optim": "sgd",
    "learning_rate": 0.01,
    "max_grad_norm": 1e9,  # clipped gradients of different size would lead to the same weights
    "lr_scheduler_type": "constant",
    "logging_steps": 1,
    "disable_tqdm": True,
    "report_to": "none",
    "save_strategy": "no",
    "seed": 3,
}


@dataclass(frozen=True)
class Run:
    """What a library did."""

    losses: list[float]
    grad_norms: list[float]
    metrics: list[dict[str, float]]
    learned: int
    """Labels that the model was trained to predict, over all steps."""
    change: torch.Tensor
    """Trained weights after the last step minus those before the first, in one vector."""


def trainer(
    library: str, rows: data.Rows, model: str, options: dict[str, Any], lora: bool = False, **kwargs: Any
) -> Any:
    """The library's trainer of the model on these rows."""
    module = LIBRARIES[library]
    args = module.SFTConfig(output_dir=tempfile.mkdtemp(prefix="oracle-"), **(OPTIONS | options))
    adapter = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], lora_dropout=0.0) if lora else None
    return module.SFTTrainer(
        model=models.build(model),
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=models.tokenizer(),
        peft_config=adapter,
        **kwargs,
    )


def weights(model: torch.nn.Module) -> torch.Tensor:
    trained = sorted((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)
    return torch.cat([weight.detach().flatten().clone() for _, weight in trained])


def train(library: str, rows: data.Rows, model: str, options: dict[str, Any], lora: bool = False) -> Run:
    """A few optimizer steps, in float32 on the CPU."""
    made = trainer(library, rows, model, options, lora)
    collate, learned = made.data_collator, []

    def counting(examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = collate(examples)
        learned.append(int((batch["labels"][:, 1:] != -100).sum()))
        return batch

    made.data_collator = counting
    before = weights(made.model)
    made.train()
    logs = [entry for entry in made.state.log_history if "grad_norm" in entry]
    micro_batches = STEPS * made.args.gradient_accumulation_steps
    return Run(
        losses=[entry["loss"] for entry in logs],
        grad_norms=[entry["grad_norm"] for entry in logs],
        metrics=[{name: entry[name] for name in METRICS if name in entry} for entry in logs],
        learned=sum(learned[:micro_batches]),
        change=weights(made.model) - before,
    )


METRICS = ("entropy", "mean_token_accuracy", "num_tokens", "aux_loss")
