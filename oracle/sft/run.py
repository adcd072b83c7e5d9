"""Runs a case of SFT in one library."""

from typing import Any

from .. import models, rows
from ..case import Case
from ..train import Run, make_trainer, train

METRICS = ("entropy", "mean_token_accuracy", "num_tokens", "aux_loss")


def count(batch: dict[str, Any]) -> int:
    """Labels of a batch."""
    return int((batch["labels"][:, 1:] != -100).sum())


def run(library: str, case: Case, **options: Any) -> Run:
    """What the library does, with more options than those of the case."""
    made = make_trainer(library, "SFT", case, models.build(case.model), rows.build(case.rows), options)
    return train(made, METRICS, count)
