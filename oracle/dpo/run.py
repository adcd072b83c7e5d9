"""Runs a case of DPO in one library."""

from dataclasses import dataclass
from typing import Any

from sternpost.dpo.contract import METRICS

from .. import models
from ..case import Case
from ..rows import Rows
from ..train import Run, make_trainer, train


@dataclass(frozen=True)
class PairCase(Case):
    """A case of preference optimisation."""

    reference: str | None = "other"
    """`other`: a model with other weights; `start`: the policy as it is at the start; None: what the library makes of
    the options and the adapter."""


def count(batch: dict[str, Any]) -> int:
    """Tokens of the answers of a batch."""
    return int(batch["completion_mask"].sum())


def trainer(library: str, case: PairCase, rows: Rows | None = None, **options: Any) -> Any:
    """The library's trainer."""
    reference = None
    if case.reference == "other":
        reference = models.build_other(case.model)
    elif case.reference == "start" and library == "trl":  # which otherwise loads the checkpoint that the model is from
        reference = models.build(case.model)
    return make_trainer(library, "DPO", case, models.build(case.model), rows, options, ref_model=reference)


def run(library: str, case: PairCase, rows: Rows | None = None, **options: Any) -> Run:
    """What the library does, with more options than those of the case, and perhaps on other rows."""
    return train(trainer(library, case, rows, **options), METRICS[1:], count)
