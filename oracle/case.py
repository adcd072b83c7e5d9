"""A training run that must be the same in both libraries."""

from dataclasses import dataclass, field
from typing import Any

ONE_ROW: dict[str, Any] = {"per_device_train_batch_size": 1}
WHOLE: dict[str, Any] = {"per_device_train_batch_size": 64}
"""All rows in one batch."""
PADDED: dict[str, Any] = {"padding_free": False}


@dataclass(frozen=True)
class Case:
    """One training run. `peer` and `ours` are options of one library only, where the two need others for the same."""

    rows: str
    options: dict[str, Any] = field(default_factory=dict)
    model: str = "tied"
    adapter: str | None = None
    """`new`: the trainer makes it; `given`: the model comes with one that has been trained."""
    peer: dict[str, Any] = field(default_factory=dict)
    ours: dict[str, Any] = field(default_factory=dict)
    evaluated: bool = False
    """Whether an evaluation of all rows follows the training."""
    unlike: tuple[str, ...] = ()
    """Metrics that differ for a reason that is proven among the explained differences."""

    def arguments(self, library: str, **more: Any) -> dict[str, Any]:
        """The options of one library."""
        return self.options | (self.peer if library == "trl" else self.ours) | more

    @property
    def shares(self) -> bool:
        """Whether we compute what the sequences of a pair share once, and the peer twice."""
        return self.arguments("sternpost").get("padding_free") is not False


def accumulated(steps: int, rows: int = 1) -> dict[str, Any]:
    return {"per_device_train_batch_size": rows, "gradient_accumulation_steps": steps}
