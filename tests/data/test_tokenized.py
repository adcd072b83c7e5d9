"""Rows that come as tokens: integers within limits, lengths that agree."""

import numpy as np
import pytest

from sternpost.data.rows import RowBatch
from sternpost.data.tokenized import apply_masks, integer_rows


def rows(**columns) -> RowBatch:
    count = len(next(iter(columns.values())))
    return RowBatch(columns, list(range(count)), "train")


def as_lists(values) -> list[list[int]]:
    return [row.tolist() for row in values]


def test_accepts_lists_and_arrays():
    """Lists, arrays, masks of booleans and empty rows are integers."""
    given = rows(mask=[[0, 1], np.array([1, 0]), [True, False], []])
    assert as_lists(integer_rows(given, "mask", 0, 1)) == [[0, 1], [1, 0], [1, 0], []]


def test_missing_column_is_empty():
    """A column that is not there gives nothing."""
    assert integer_rows(rows(other=[[1]]), "labels", 0) == []


def test_also():
    """One more value than the limits allow can be accepted."""
    assert as_lists(integer_rows(rows(labels=[[-100, 3]]), "labels", 0, 5, also=-100)) == [[-100, 3]]


@pytest.mark.parametrize("value", [None, "12", 3, [1.5], [[1], [2, 3]], [[1, 2]], ["a"], [None]])
def test_not_a_list_of_integers(value):
    """Any other type is named with row and column."""
    with pytest.raises(TypeError, match="train row 1, column `input_ids`: expected a list of integers"):
        integer_rows(rows(input_ids=[[1], value]), "input_ids", 0)


@pytest.mark.parametrize(
    ("value", "options", "problem"),
    [
        ([1, -3], {"smallest": 0}, "position 1 holds -3, which is not from 0 up"),
        ([9, 1], {"smallest": 0, "largest": 5}, "position 0 holds 9, which is not from 0 to 5"),
        ([1, -1], {"smallest": 0, "largest": 5, "also": -100}, "position 1 holds -1"),
        ([1, 2], {"smallest": 0, "like": [np.arange(3)]}, "2 values for 3 `input_ids`"),
        ([1, 2], {"smallest": 0, "total": [np.arange(4)]}, "the sum is 3 for 4 `input_ids`"),
    ],
)
def test_values_and_lengths(value, options, problem):
    """Values outside the limits, other lengths and wrong sums are named."""
    with pytest.raises(ValueError, match=f"train row 0, column `numbers`: {problem}"):
        integer_rows(rows(numbers=[value]), "numbers", **options)


def test_masks():
    """What any of the masks excludes is not learned; masks that are not there exclude nothing."""
    given = rows(completion_mask=[[0, 1, 1]], assistant_masks=[[1, 1, 0]])
    labels = [np.array([4, 5, 6])]
    assert as_lists(apply_masks(given, labels, ("completion_mask", "assistant_masks"))) == [[-100, 5, -100]]
    assert as_lists(apply_masks(given, labels, ("assistant_masks",))) == [[4, 5, -100]]
    assert as_lists(apply_masks(rows(other=[[1]]), labels, ("assistant_masks",))) == [[4, 5, 6]]
