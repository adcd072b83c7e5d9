"""One batched pass over the rows of a split, map-style or streaming, that drops the rows without a use and says so."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from accelerate import PartialState
from datasets import Dataset, Features, IterableDataset, List, Value

from .rows import RowBatch

logger = logging.getLogger(__name__)

Rows: TypeAlias = Dataset | IterableDataset
Outputs: TypeAlias = dict[str, list[Any]]
"""Columns of integers, one list per row."""
Step: TypeAlias = Callable[[RowBatch], tuple[Outputs, list[str | None]]]
"""Rows -> their outputs, and for each row why it is dropped, or None."""


def column_names(dataset: Rows, name: str) -> list[str]:
    """The columns of a split; of a stream that does not know them, those of its first row.

    Raises:
        TypeError: it is no data set of the `datasets` library.
        ValueError: it has no rows.
    """
    if not isinstance(dataset, Dataset | IterableDataset):
        raise TypeError(
            f"the {name} data set is a {type(dataset).__name__}, expected a datasets.Dataset or IterableDataset. Make "
            "one, for example with datasets.Dataset.from_list(rows)."
        )
    columns = dataset.column_names
    if columns is None:
        columns = list(next(iter(dataset), {}))
    if not columns or (isinstance(dataset, Dataset) and not len(dataset)):
        raise ValueError(f"the {name} data set has no rows. Check the file, the split and the filters it went through.")
    return columns


def map_rows(
    dataset: Rows,
    step: Step,
    outputs: Sequence[str],
    reasons: Sequence[str],
    name: str,
    num_proc: int | None = None,
    floats: Sequence[str] = (),
) -> Rows:
    """The `outputs` of the rows for which `step` gives no reason to drop them, and those of the columns `floats` that
    there are, which hold a number per row.

    Raises:
        TypeError, ValueError: a value of `floats` is no finite number.
        ValueError: every row is dropped (of a stream: every row of its first batch).
    """
    columns = column_names(dataset, name)
    kept = tuple(column for column in floats if column in columns)
    dataset = dataset.with_format(None)
    if isinstance(dataset, IterableDataset):
        features = Features(
            {output: List(Value("int32")) for output in outputs} | {column: Value("float64") for column in kept}
        )
        stream = StreamStep(step, name, kept)
        return dataset.map(stream, with_indices=True, batched=True, remove_columns=columns, features=features)
    table = dataset.map(
        TableStep(step, name, tuple(reasons), kept),
        with_indices=True,
        batched=True,
        remove_columns=columns,
        num_proc=num_proc,
        # Hashing the tokenizer is only worth it for rows in files, whose outcome is found again by the hash.
        new_fingerprint=None if dataset.cache_files else secrets.token_hex(8),
        desc=f"Preparing {name}",
    )
    return without_dropped(table, reasons, name)


@dataclass
class TableStep:
    """A step as `Dataset.map` calls it: Arrow tables out, with the reason as a number in the column `dropped`."""

    step: Step
    name: str
    reasons: tuple[str, ...]
    floats: tuple[str, ...]

    def __call__(self, columns: Mapping[str, list[Any]], numbers: list[int]) -> pa.Table:
        rows = RowBatch(columns, numbers, self.name)
        outputs, dropped = self.step(rows)
        codes = [0 if reason is None else 1 + self.reasons.index(reason) for reason in dropped]
        table = {column: list_column(values) for column, values in outputs.items()}
        table |= {column: pa.array(rows.finite_numbers(column), pa.float64()) for column in self.floats}
        return pa.table(table | {"dropped": pa.array(codes, pa.int8())})


@dataclass
class StreamStep:
    """A step as `IterableDataset.map` calls it: lists of the kept rows out."""

    step: Step
    name: str
    floats: tuple[str, ...] = ()
    told: bool = field(default=False, compare=False)

    def __call__(self, columns: Mapping[str, list[Any]], numbers: list[int]) -> dict[str, list[Any]]:
        rows = RowBatch(columns, numbers, self.name)
        outputs, dropped = self.step(rows)
        kept = [at for at, reason in enumerate(dropped) if reason is None]
        if len(kept) < len(dropped) and not self.told:
            self.tell(numbers, dropped, kept)
        numbered = {column: rows.finite_numbers(column) for column in self.floats}
        return {column: [np.asarray(values[at]).tolist() for at in kept] for column, values in outputs.items()} | {
            column: [values[at] for at in kept] for column, values in numbered.items()
        }

    def tell(self, numbers: list[int], dropped: list[str | None], kept: list[int]) -> None:
        """Say once that rows are dropped: how many there will be is not known while they stream."""
        counts = counted([reason for reason in dropped if reason])
        if not kept and numbers[0] == 0:
            raise ValueError(f"none of the first {len(numbers)} rows of the {self.name} stream is of use: {counts}.")
        logger.warning("%s: dropped %d of the rows %d to %d of the stream (%s); later ones are dropped silently.",
                       self.name, len(dropped) - len(kept), numbers[0], numbers[-1], counts)  # fmt: skip
        self.told = True


def without_dropped(table: Dataset, reasons: Sequence[str], name: str) -> Dataset:
    """The rows whose code in the column `dropped` is 0; says in one line how many others there were."""
    codes = table.with_format("numpy", columns=["dropped"])[:]["dropped"]
    table = table.remove_columns("dropped")
    kept = np.flatnonzero(codes == 0)
    if len(kept) == len(codes):
        return table
    counts = counted([reasons[code - 1] for code in codes if code])
    if not len(kept):
        raise ValueError(f"no row of the {name} data set is of use: {counts}.")
    if PartialState().is_main_process:
        logger.warning("%s: dropped %d of %d rows (%s).", name, len(codes) - len(kept), len(codes), counts)
    return table.select(kept)


def counted(reasons: list[str]) -> str:
    return "; ".join(f"{reasons.count(reason)} {reason}" for reason in sorted(set(reasons)))


def list_column(rows: Sequence[Sequence[int]]) -> pa.ListArray:
    """Rows of integers as an Arrow column of 32-bit integers."""
    ends = np.cumsum([0, *map(len, rows)])
    if rows and isinstance(rows[0], np.ndarray):
        values = np.concatenate(rows).astype(np.int32, copy=False)
    else:
        values = np.fromiter(chain.from_iterable(rows), np.int32, int(ends[-1]))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values))
