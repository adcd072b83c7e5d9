"""Trains one case in one library and returns what it did in every step."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import trl
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

import sternpost

from .case import Case
from .models import tokenizer
from .rows import build

LIBRARIES = {"trl": trl, "sternpost": sternpost}
STEPS = 3
OPTIONS: dict[str, Any] = {
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
    """Of every step, and of the evaluation if there was one."""
    learned: int
    """Tokens, or answers, that the model was trained on, over all steps."""
    change: torch.Tensor
    """Trained weights after the last step minus those before the first, in one vector."""


def make_trainer(
    library: str, room: str, case: Case, model: PreTrainedModel, rows: list[dict[str, Any]] | None = None,
    options: dict[str, Any] | None = None, source: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    """The library's trainer of this room, for the model and the rows of a case; or the one that another source has."""
    module = LIBRARIES[library] if source is None else source
    made = {**OPTIONS, **case.arguments(library), **(options or {})}
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], lora_dropout=0.0,
        **kwargs.pop("adapter_options", {}),
    )  # fmt: skip
    if case.adapter == "given":
        model = with_trained_adapter(model, config)
    rows = build(case.rows) if rows is None else rows
    return getattr(module, f"{room}Trainer")(
        model=model,
        args=getattr(module, f"{room}Config")(output_dir=tempfile.mkdtemp(prefix="oracle-"), **made),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows) if case.evaluated else None,
        processing_class=tokenizer(),
        peft_config=config if case.adapter == "new" else None,
        **kwargs,
    )


def with_trained_adapter(model: PreTrainedModel, config: LoraConfig) -> Any:
    """The model with an adapter that changes what it says."""
    config.init_lora_weights = False
    torch.manual_seed(1)
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.mul_(0.1)
    return adapted


def weights(model: torch.nn.Module) -> torch.Tensor:
    """All that is trained."""
    trained = sorted((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)
    return torch.cat([weight.detach().flatten().clone() for name, weight in trained if ".ref." not in name])


def train(trainer: Any, metrics: Sequence[str], count: Callable[[dict[str, Any]], int]) -> Run:
    """A few optimizer steps, in float32 on the CPU; `count` says how many things of a batch are learned."""
    collate, learned = trainer.data_collator, []

    def counting(examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = collate(examples)
        learned.append(count(batch))
        return batch

    trainer.data_collator = counting
    before = weights(trainer.model)
    trainer.train()
    after = weights(trainer.model)
    logs = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    found = [{name: entry[name] for name in metrics if name in entry} for entry in logs]
    if trainer.eval_dataset is not None:
        evaluated = trainer.evaluate()
        names = [f"eval_{name}" for name in ("loss", *metrics)]
        found.append({name: evaluated[name] for name in names if name in evaluated})
    micro_batches = trainer.args.max_steps * trainer.args.gradient_accumulation_steps
    return Run(
        losses=[entry["loss"] for entry in logs],
        grad_norms=[entry["grad_norm"] for entry in logs],
        metrics=found,
        learned=sum(learned[:micro_batches]),
        change=after - before,
    )
