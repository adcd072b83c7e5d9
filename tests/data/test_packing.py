"""Packing: every token once and in order, rows well filled, the same for every kind of data set."""

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import given
from hypothesis import strategies as st

from sternpost import pack_dataset
from sternpost.data.packing import best_fit_decreasing

LENGTHS = st.lists(st.integers(0, 25), min_size=1, max_size=40)
SIZES = st.integers(1, 20)


def documents(lengths: list[int]) -> list[list[int]]:
    """Documents whose tokens are all different, so that each can be told where it went."""
    ends = np.cumsum(lengths)
    return [list(range(end - length, end)) for end, length in zip(ends.tolist(), lengths)]


def pack(rows: list[list[int]], size: int, strategy: str) -> list[dict]:
    dataset = Dataset.from_dict({"input_ids": rows, "labels": [[-token for token in row] for row in rows]})
    return pack_dataset(dataset, size, strategy).to_list()


def pieces(packed: list[dict]) -> list[list[int]]:
    """The documents, or parts of them, that packed rows say they hold."""
    found = []
    for row in packed:
        ends = np.cumsum(row["seq_lengths"])
        found += [row["input_ids"][end - length : end] for end, length in zip(ends, row["seq_lengths"])]
    return found


@given(LENGTHS, SIZES)
def test_bfd_keeps_every_document_whole_up_to_the_length(lengths, size):
    """Each document is found once and in one piece; only what is beyond the length is missing."""
    packed = pack(documents(lengths), size, "bfd")
    assert sorted(pieces(packed)) == sorted(row[:size] for row in documents(lengths) if row)


@given(LENGTHS, SIZES)
def test_bfd_split_loses_nothing(lengths, size):
    """Documents are cut only every `size` tokens, and every piece is found once."""
    packed = pack(documents(lengths), size, "bfd_split")
    expected = [row[at : at + size] for row in documents(lengths) for at in range(0, len(row), size)]
    assert sorted(pieces(packed)) == sorted(expected)


@given(LENGTHS, SIZES)
def test_wrapped_is_one_stream(lengths, size):
    """The rows, read one after the other, are the documents; all but the last are full."""
    packed = pack(documents(lengths), size, "wrapped")
    assert [token for row in packed for token in row["input_ids"]] == list(range(sum(lengths)))
    assert all(len(row["input_ids"]) == size for row in packed[:-1])


@given(LENGTHS, SIZES, st.sampled_from(["bfd", "bfd_split", "wrapped"]))
def test_columns_stay_aligned_and_rows_fit(lengths, size, strategy):
    """A row has at most `size` tokens, its lengths add up, and other columns take the same way."""
    for row in pack(documents(lengths), size, strategy):
        assert 0 < len(row["input_ids"]) <= size
        assert row["labels"] == [-token for token in row["input_ids"]]
        assert sum(row.get("seq_lengths", [len(row["input_ids"])])) == len(row["input_ids"])


def first_fit(lengths: list[int], size: int) -> int:
    rooms: list[int] = []
    for length in filter(None, lengths):
        at = next((at for at, room in enumerate(rooms) if room >= length), None)
        if at is None:
            rooms.append(size - length)
        else:
            rooms[at] -= length
    return len(rooms)


@given(LENGTHS)
def test_bins_are_within_the_proven_bound(lengths):
    """Best fit decreasing needs at most 11/9 of the fewest bins and 6/9 more; first fit needs no fewer than these."""
    bins = best_fit_decreasing(np.array(lengths), 25)
    assert len(bins) * 9 <= 11 * first_fit(lengths, 25) + 6
    assert sorted(row for members in bins for row in members) == [row for row, length in enumerate(lengths) if length]


def test_fills_better_than_first_fit():
    """On lengths like those of conversations, rows are fuller than by first fit, and nearly full."""
    lengths = np.minimum(np.random.default_rng(0).lognormal(5.5, 0.8, 5000).astype(int) + 1, 1024)
    bins = len(best_fit_decreasing(lengths, 1024))
    assert bins <= first_fit(lengths.tolist(), 1024)
    assert lengths.sum() / (bins * 1024) > 0.99


@pytest.mark.parametrize("strategy", ["bfd", "bfd_split", "wrapped"])
def test_every_kind_of_data_set_packs_alike(strategy):
    """A stream, a dictionary of splits and a plain data set give the same rows and types."""
    dataset = Dataset.from_dict({"input_ids": documents([5, 2, 3, 1, 9, 4] * 300)})
    packed = pack_dataset(dataset, 8, strategy)
    stream = pack_dataset(dataset.to_iterable_dataset(), 8, strategy)
    splits = pack_dataset(DatasetDict(a=dataset, b=dataset), 8, strategy)
    assert list(stream) == packed.to_list() == splits["b"].to_list()
    assert stream.column_names == packed.column_names
    assert set(packed[0]) == {"input_ids"} | ({"seq_lengths"} if strategy != "wrapped" else set())


def test_worked_example():
    """Longest first, into the fullest row that has room; of equals the first."""
    rows = [[1, 2, 3, 4, 5], [6, 7], [8, 9, 10], [11]]
    assert [row["input_ids"] for row in pack(rows, 4, "bfd")] == [[1, 2, 3, 4], [8, 9, 10, 11], [6, 7]]
    assert [row["input_ids"] for row in pack(rows, 4, "bfd_split")] == [[1, 2, 3, 4], [8, 9, 10, 5], [6, 7, 11]]
    equals = [[1, 2, 3], [4, 5, 6], [7]]
    assert [row["input_ids"] for row in pack(equals, 4, "bfd")] == [[1, 2, 3, 7], [4, 5, 6]]


def test_map_kwargs_reach_map():
    """Options of `map` are passed on: rows of different map batches are never packed together."""
    dataset = Dataset.from_dict({"input_ids": [[1], [2], [3], [4]]})
    packed = pack_dataset(dataset, 4, "bfd", {"batch_size": 2})
    assert packed["input_ids"][:] == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("columns", "arguments", "error", "message"),
    [
        ({"input_ids": [[1]]}, (4, "ffd"), ValueError, "`strategy='ffd'`"),
        ({"input_ids": [[1]]}, (0, "bfd"), ValueError, "`seq_length=0`"),
        ({"input_ids": [[1]], "text": ["a"]}, (4, "bfd"), TypeError, "column `text` holds string"),
        ({"input_ids": [[1], None]}, (4, "bfd"), TypeError, "column `input_ids` has rows without a list"),
        ({"input_ids": [[1], [2, 3]], "labels": [[1], [2]]}, (4, "bfd"), ValueError, "row 1 .* 1 values in .*`labels`"),
    ],
)
def test_refuses_what_it_cannot_pack(columns, arguments, error, message):
    """Wrong arguments and columns that hold no value per token are named."""
    with pytest.raises(error, match=message):
        pack_dataset(Dataset.from_dict(columns), *arguments)
