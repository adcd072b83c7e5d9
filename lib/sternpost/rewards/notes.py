"""What reward functions say of a batch besides their rewards: extra columns and metrics."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

FIXED = ("step", "prompt", "completion", "advantage")
"""Columns of the completions table that it has anyway, beside one for each reward."""
COLUMNS = (*FIXED, "reward")
"""Names that no other column of it may have."""


class Notes:
    """Takes down what a reward logs of a batch of `count` completions, through `log_extra` and `log_metric`."""

    def __init__(self, count: int, taken: Collection[str]) -> None:
        self.count, self.taken = count, {*taken, *COLUMNS}
        self.columns: dict[str, list[Any]] = {}
        self.values: dict[str, list[float]] = {}

    def functions(self) -> dict[str, Callable[..., None]]:
        """What the reward is given."""
        return {"log_extra": self.log_extra, "log_metric": self.log_metric}

    def log_extra(self, column: str, values: Sequence[Any]) -> None:
        """One more column of the completions table.

        Raises:
            TypeError: the values are no list.
            ValueError: there is not one for each completion, or the column is there already.
        """
        if hasattr(values, "tolist"):
            values = values.tolist()
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise TypeError(f"`log_extra` got {type(values).__name__} for `{column}`. Give a list, one per completion.")
        if len(values) != self.count:
            raise ValueError(
                f"`log_extra` got {len(values)} values of `{column}` for {self.count} completions. Give one for each."
            )
        if column in self.taken or column in self.columns:
            raise ValueError(f"`log_extra`: there is a column `{column}` already. Choose another name.")
        self.columns[column] = list(values)

    def log_metric(self, name: str, value: float) -> None:
        """One more metric; what is logged several times for a batch is averaged.

        Raises:
            TypeError: the value is no number.
        """
        try:
            number = float(value) if not isinstance(value, str) else None
        except (TypeError, ValueError):
            number = None
        if number is None:
            raise TypeError(f"`log_metric` got {value!r} for `{name}`. Give a number.")
        self.values.setdefault(name, []).append(number)

    def metrics(self) -> dict[str, float]:
        return mean_of_each(self.values)


def all_columns(notes: Mapping[str, Notes]) -> dict[str, list[Any]]:
    """The columns of all rewards by their names; where several have one, later ones put their name before it."""
    found: dict[str, list[Any]] = {}
    for reward, own in notes.items():
        for column, values in list(own.columns.items()):
            found[f"{reward}/{column}" if column in found else column] = values
    return found


def all_metrics(notes: Mapping[str, Notes]) -> dict[str, float]:
    """The metrics of all rewards; one that several log is averaged."""
    values: dict[str, list[float]] = {}
    for own in notes.values():
        for name, each in list(own.values.items()):
            values.setdefault(name, []).extend(each)
    return mean_of_each(values)


def mean_of_each(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: sum(each) / len(each) for name, each in list(values.items())}
