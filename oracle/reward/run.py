"""Runs a case of reward modelling in one library."""

from typing import Any

from transformers import AutoModelForSequenceClassification

from sternpost.reward.contract import METRICS

from .. import models
from ..case import Case
from ..rows import Rows
from ..train import Run, make_trainer, train


def count(batch: dict[str, Any]) -> int:
    """Sequences of a batch."""
    lengths = batch.get("seq_lengths")
    return len(batch["input_ids"]) if lengths is None else 2 * sum(not isinstance(row, int) for row in lengths)


def trainer(library: str, case: Case, rows: Rows | None = None, *, names_head: bool = True, **options: Any) -> Any:
    """The library's trainer; with an adapter, the head is trained, which only ours knows without being told."""
    model = models.build(case.model, AutoModelForSequenceClassification, num_labels=1)
    head = {"adapter_options": {"modules_to_save": ["score"]}} if names_head else {}
    return make_trainer(library, "Reward", case, model, rows, options, **head)


def run(library: str, case: Case, rows: Rows | None = None, **options: Any) -> Run:
    """What the library does, with more options than those of the case, and perhaps on other rows."""
    return train(trainer(library, case, rows, **options), METRICS[1:], count)
