"""Checks of rows that come as tokens, and of the masks and lengths that come with them."""

from collections.abc import Sequence

import numpy as np

from .batches import IGNORE
from .rows import RowBatch, shown

MASKS = ("completion_mask", "assistant_masks")
"""Columns that say, with 1, which tokens are learned."""

OTHER_TOKENIZER = "Tokenise the rows with the tokenizer of the model, or add the missing tokens to it."
WAYS_OUT = {
    "input_ids": OTHER_TOKENIZER,
    "prompt_ids": OTHER_TOKENIZER,
    "chosen_ids": OTHER_TOKENIZER,
    "rejected_ids": OTHER_TOKENIZER,
    "labels": f"A label is an id of the vocabulary, or {IGNORE} where nothing is learned.",
    "seq_lengths": "Store the lengths of the documents in the row, each at least 1.",
}


def integer_rows(
    rows: RowBatch,
    column: str,
    smallest: int,
    largest: int | None = None,
    also: int | None = None,
    like: Sequence[np.ndarray] | None = None,
    total: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """A column of lists of integers from `smallest` to `largest` or equal to `also`; empty if there is no such column.

    Each row has as many values as its row of `like`; its sum is the length of its row of `total`.

    Raises:
        TypeError: a row is no list of integers.
        ValueError: a value, a length or a sum is wrong.
    """
    checked = []
    way_out = WAYS_OUT.get(column, "Store 0 or 1 per token.")
    for at, value in enumerate(rows.columns.get(column, ())):
        row = integers(value)
        if row is None:
            raise rows.error(at, column, f"expected a list of integers, got {shown(value)}", way_out, TypeError)
        wrong = row < smallest
        if largest is not None:
            wrong |= row > largest
        if also is not None:
            wrong &= row != also
        if wrong.any():
            position = int(wrong.argmax())
            limits = f"from {smallest} " + ("up" if largest is None else f"to {largest}")
            raise rows.error(at, column, f"position {position} holds {row[position]}, which is not {limits}", way_out)
        if like is not None and len(row) != len(like[at]):
            raise rows.error(at, column, f"{len(row)} values for {len(like[at])} `input_ids`", "Store one per token.")
        if total is not None and row.sum() != len(total[at]):
            raise rows.error(at, column, f"the sum is {row.sum()} for {len(total[at])} `input_ids`", way_out)
        checked.append(row)
    return checked


def integers(value: object) -> np.ndarray | None:
    """A list of integers as an array; None for anything else."""
    if value is None or isinstance(value, str):
        return None
    try:
        row = np.asarray(value)
    except ValueError:  # lists of different lengths inside
        return None
    return row.astype(np.int64) if row.ndim == 1 and (row.dtype.kind in "iub" or not row.size) else None


def apply_masks(rows: RowBatch, labels: list[np.ndarray], columns: Sequence[str]) -> list[np.ndarray]:
    """Labels with what the masks exclude, as far as there are such columns, set to `IGNORE`."""
    for column in columns:
        masks = integer_rows(rows, column, smallest=0, largest=1, like=labels)
        if masks:
            labels = [np.where(mask == 1, row, IGNORE) for mask, row in zip(masks, labels, strict=True)]
    return labels
