"""One pass over a split: rows without a use are dropped and counted, in a table and in a stream."""

import logging

import pytest
from datasets import Dataset, IterableDataset

from sternpost.data.rows import RowBatch
from sternpost.data.splits import column_names, map_rows

ODD, BIG = "that are odd", "that are big"


def halve(rows: RowBatch) -> tuple[dict[str, list[list[int]]], list[str | None]]:
    """Even numbers up to 2000, halved."""
    numbers = rows.columns["number"]
    reasons = [ODD if number % 2 else BIG if number > 2000 else None for number in numbers]
    return {"half": [[number // 2] for number in numbers], "row": [[number] for number in rows.numbers]}, reasons


def halved(dataset, **options):
    return map_rows(dataset, halve, ("half", "row"), (ODD, BIG), "train", **options)


@pytest.mark.parametrize("num_proc", [None, 2])
def test_table(caplog, num_proc):
    """The kept rows with their numbers, and one line that counts the others by reason, whatever does the work."""
    with caplog.at_level(logging.WARNING):
        made = halved(Dataset.from_dict({"number": range(2500)}), num_proc=num_proc)
    assert made["half"][:] == [[number] for number in range(1001)]
    assert made["row"][:] == [[2 * number] for number in range(1001)]
    assert made.column_names == ["half", "row"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "train: dropped 1499 of 2500 rows (249 that are big; 1250 that are odd)."


def test_stream_gives_the_same_rows(caplog):
    """A stream gives what a table does, knows its columns, and says once that rows are dropped."""
    dataset = Dataset.from_dict({"number": range(2500)})
    stream = halved(dataset.to_iterable_dataset())
    assert stream.column_names == ["half", "row"]
    with caplog.at_level(logging.WARNING):
        assert list(stream) == halved(dataset).to_list()
    assert len([record for record in caplog.records if "stream" in record.getMessage()]) == 1


def test_nothing_dropped_is_not_logged(caplog):
    """No line where all rows are kept, and no trace of the count in the rows."""
    assert halved(Dataset.from_dict({"number": [2, 4]})).to_list() == [
        {"half": [1], "row": [0]},
        {"half": [2], "row": [1]},
    ]
    assert caplog.records == []


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_left(stream):
    """No row of use is an error that says why."""
    dataset = Dataset.from_dict({"number": [1, 3, 2002]})
    with pytest.raises(ValueError, match=r"train .* of use: 1 that are big; 2 that are odd"):
        list(halved(dataset.to_iterable_dataset() if stream else dataset))


def test_rows_chosen_from_a_table():
    """A selection or another order of rows is mapped as it is."""
    dataset = Dataset.from_dict({"number": range(10)}).select([8, 3, 2])
    assert halved(dataset)["half"][:] == [[4], [1]]


@pytest.mark.parametrize("stream", [False, True])
def test_formats_of_the_user_do_not_matter(stream):
    """Data that gives arrays is read as it is stored: lists and plain numbers."""

    def echo(rows: RowBatch):
        assert rows.columns["names"] == [["a"], ["b", "c"]]
        assert [type(names) for names in rows.columns["names"]] == [list, list]
        return {"count": [[len(names)] for names in rows.columns["names"]]}, [None, None]

    dataset = Dataset.from_dict({"names": [["a"], ["b", "c"]]})
    dataset = (dataset.to_iterable_dataset() if stream else dataset).with_format("numpy")
    assert [row["count"] for row in map_rows(dataset, echo, ["count"], (), "train")] == [[1], [2]]


def test_columns_of_a_stream_without_names():
    """A stream that does not know its columns is asked for its first row."""
    stream = IterableDataset.from_generator(lambda: iter([{"number": 2}, {"number": 4}]))
    assert stream.column_names is None
    assert column_names(stream, "train") == ["number"]
    assert [row["half"] for row in halved(stream)] == [[1], [2]]


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (Dataset.from_dict({"number": []}), ValueError, "the eval data set has no rows"),
        (Dataset.from_dict({}), ValueError, "the eval data set has no rows"),
        (IterableDataset.from_generator(lambda: iter([])), ValueError, "the eval data set has no rows"),
        ([{"number": 1}], TypeError, r"the eval data set is a list.*Dataset.from_list\(rows\)"),
    ],
)
def test_no_rows(dataset, error, message):
    """Empty data sets and other types are refused before anything is done with them."""
    with pytest.raises(error, match=message):
        column_names(dataset, "eval")
