"""Runs a case of GRPO in one library."""

from typing import Any

from ..online import OnlineCase, OnlineRun
from ..online import run as run_online
from ..rows import Rows

FURTHER = (
    "cispo_clip_ratio",
    "vespo/phi_seq_mean",
    "policy_loss",
    "entropy_coef",
    *(f"sampling/importance_sampling_ratio/{kind}" for kind in ("min", "mean", "max")),
    *(f"sampling/sampling_logp_difference/{kind}" for kind in ("mean", "max")),
)
"""Metrics of GRPO that RLOO does not have."""


def run(library: str, case: OnlineCase, rows: Rows | None = None, *, mixed: bool = False, **options: Any) -> OnlineRun:
    """What the library does, with more options than those of the case, and perhaps on other rows."""
    return run_online(library, "GRPO", case, rows, mixed=mixed, further=FURTHER, **options)
