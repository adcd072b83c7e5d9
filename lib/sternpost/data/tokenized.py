"""Checks of rows that come as tokens."""

from collections.abc import Sequence

import numpy as np

from .rows import RowBatch, shown


def token_rows(rows: RowBatch, vocabulary: int) -> list[np.ndarray]:
    """The column `input_ids`.

    Raises:
        TypeError: a row is no list of integers.
        ValueError: an id is not in the vocabulary.
    """
    return integer_rows(rows, "input_ids", smallest=0, largest=vocabulary - 1)


def integer_rows(
    rows: RowBatch,
    column: str,
    smallest: int,
    largest: int | None = None,
    like: Sequence[np.ndarray] | None = None,
    total_of: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """A column of lists of integers, each within the limits and as long as its row of `like`, or adding up to the length
    of its row of `total_of`.

    Raises:
        TypeError: a row is no list of integers.
        ValueError: a value, a length or a sum is wrong.
    """
    checked = []
    for at, value in enumerate(rows.columns[column]):
        row = np.asarray(value if value is not None else "none")
        if row.ndim != 1 or (row.dtype.kind not in "iub" and row.size):
            raise rows.error(
                at, column, f"expected a list of integers, got {shown(value)}", "Tokenise the row.", TypeError
            )
        row = row.astype(np.int64)
        wrong = row < smallest if largest is None else (row < smallest) | (row > largest)
        if column == "labels":
            wrong &= (row >= 0) | (row != smallest)
        if wrong.any():
            where = int(wrong.argmax())
            limits = f"from {smallest}" + (f" to {largest}" if largest is not None else " up")
            raise rows.error(
                at, column, f"position {where} holds {row[where]}, which is not {limits}", way_out_of(column)
            )
        if like is not None and len(row) != len(like[at]):
            problem = f"{len(row)} values for {len(like[at])} `input_ids`"
            raise rows.error(at, column, problem, "Store one value per token.")
        if total_of is not None and row.sum() != len(total_of[at]):
            problem = f"the lengths add up to {row.sum()}, but there are {len(total_of[at])} `input_ids`"
            raise rows.error(at, column, problem, "Store the length of each document in the row.")
        checked.append(row)
    return checked


def way_out_of(column: str) -> str:
    if column == "input_ids":
        return "Tokenise the rows with the tokenizer of the model, or add the missing tokens to it."
    if column == "labels":
        return "A label is an id of the vocabulary, or -100 where nothing is learned."
    return "A mask holds 0 and 1." if "mask" in column else "A document has at least one token."
