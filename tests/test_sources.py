"""Rows from files, directories and names: every kind is read, and everything that can be wrong with one is said."""

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset, DatasetDict

from sternpost import demo
from sternpost.sources import check_source, load_splits, take_split

ROWS = [{"text": "one", "id": 1}, {"text": "two", "id": 2}]


def write(path: Path, rows: list[dict] = ROWS) -> Path:
    """Rows in the format that the suffix says."""
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".arrow":
        table = pyarrow.Table.from_pylist(rows)
        with pyarrow.ipc.new_stream(str(path), table.schema) as sink:
            sink.write_table(table)
    elif path.suffix in (".csv", ".tsv"):
        comma = "," if path.suffix == ".csv" else "\t"
        path.write_text("\n".join([comma.join(rows[0]), *(comma.join(map(str, row.values())) for row in rows), ""]))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1))
    else:
        path.write_text(lines)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet", "a.csv", "a.tsv", "a.arrow", "a.jsonl.gz"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path, name):
    """The format of a file does not matter, in memory or streamed."""
    path = str(write(tmp_path / name))
    assert load_splits(path)["train"].to_list() == ROWS
    assert list(load_splits(path, streaming=True)["train"]) == ROWS


def test_directory_has_a_split_for_each_file_name(tmp_path):
    """`train.*` and `test.*` in a directory become the splits of these names."""
    write(tmp_path / "train.jsonl")
    write(tmp_path / "test.jsonl", ROWS[:1])
    splits = load_splits(str(tmp_path))
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 2, "test": 1}


@pytest.mark.parametrize("streaming", [False, True])
def test_saved_data_sets_are_recognised(tmp_path, streaming):
    """What `save_to_disk` writes is read as such, with its splits if it has some."""
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    DatasetDict({"left": Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "dict")
    assert list(load_splits(str(tmp_path / "one"), streaming=streaming)["train"]) == ROWS
    assert list(load_splits(str(tmp_path / "dict"), streaming=streaming)["left"]) == ROWS


@pytest.fixture
def small_demo(tmp_path, monkeypatch):
    """A demo with one data set, `messages`."""
    monkeypatch.setattr(demo, "ASSETS", tmp_path)
    write(tmp_path / "messages.jsonl")


def test_demo_rows_by_name(small_demo):
    """`demo:NAME` is the data set of the package."""
    assert load_splits("demo:messages")["train"].to_list() == ROWS
    assert list(load_splits("demo:messages", streaming=True)["train"]) == ROWS


# ---- What is wrong


def broken(path: Path) -> Path:
    """A file that cannot be read, in the way that its name says."""
    contents = {
        "cut.jsonl": b'{"text": "one"}\n{"text": \n',
        "list.jsonl": b'{"text": "one"}\n["two"]\n',
        "cut.json": b'[{"text": "one"},\n',
        "latin.jsonl": b'{"text": "\xff\xfe"}\n',
        "magic.parquet": b"PAR1 and then nothing of use",
        "wide.csv": b"text,id\none,1\ntwo,2,3,4\n",
        "short.arrow": b"no",
        "empty.jsonl": b"",
    }
    path.write_bytes(contents[path.name])
    return path


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cut.jsonl", "line 2: Expecting value"),
        ("list.jsonl", "line 2 is not an object"),
        ("cut.json", "line 2: Expecting value"),
        ("latin.jsonl", "line 1: 'utf-8' codec can't decode byte 0xff"),
        ("magic.parquet", "corrupted or this is not a parquet file"),
        ("wide.csv", "line 3 has 4 values, but the header has 2 columns"),
        ("short.arrow", "File is too small"),
    ],
)
def test_broken_file_is_named_with_the_reason(tmp_path, name, why):
    """One message: option, file, what is wrong where, what to do."""
    path = broken(tmp_path / name)
    with pytest.raises(ValueError) as caught:
        load_splits(str(path), "dataset_name")
    message = str(caught.value)
    assert message.startswith(f"`dataset_name='{path}'`: cannot read '{path}': ")
    assert why in message
    assert message.endswith("Repair the file, or leave it out.")


def test_broken_file_in_a_directory_is_found(tmp_path):
    """Of many files the broken one is named."""
    write(tmp_path / "a.parquet")
    write(tmp_path / "b.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(ValueError, match=r"cannot read '.*b\.parquet': "):
        load_splits(str(tmp_path))


def test_truncated_parquet_is_named(tmp_path):
    """A Parquet file whose footer is there but whose data is damaged fails as clearly."""
    path = write(tmp_path / "a.parquet", [{"text": str(number) * 50} for number in range(200)])
    data = bytearray(path.read_bytes())
    data[4:400] = b"\0" * 396
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"cannot read '{path}'"):
        load_splits(str(path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: broken(folder / "empty.jsonl"), "is an empty file: there are no rows"),
        (lambda folder: write(folder / "rows.txt"), "is a file of no known kind: the name must end in one of .jsonl"),
        (lambda folder: folder, "is a directory without data"),
        (lambda folder: folder / "rows.jsnl", "does not exist"),
        (lambda folder: folder / "no" / "rows.jsonl", "there is no directory"),
    ],
)
def test_what_is_certainly_wrong_is_said_before_anything_is_read(tmp_path, make, message):
    """`check_source` needs no library, so the command line calls it first."""
    path = make(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        check_source(str(path), "dataset_name")


def test_missing_file_suggests_the_nearest(tmp_path):
    """A misspelt name is answered with the one that is there."""
    write(tmp_path / "rows.jsonl")
    with pytest.raises(FileNotFoundError, match=r"does not exist. Did you mean '.*/rows.jsonl'\?"):
        check_source(str(tmp_path / "row.jsonl"), "dataset_name")


def test_unknown_name_of_the_demo_suggests_the_nearest(small_demo):
    """All names are listed and the nearest is proposed."""
    with pytest.raises(ValueError, match=r"which has messages\. Did you mean 'demo:messages'\?"):
        check_source("demo:mesages", "dataset_name")


def test_hub_that_cannot_be_reached(monkeypatch):
    """An id that is no local path, with no network, says where it looked."""
    with pytest.raises(FileNotFoundError, match=r"`dataset_name='org/rows'` is no local file.*the hub did not give it"):
        load_splits("org/rows", "dataset_name")


def test_file_takes_no_configuration(tmp_path):
    """Options that could have no effect are refused."""
    with pytest.raises(ValueError, match="is a file, so a configuration"):
        load_splits(str(write(tmp_path / "a.jsonl")), name="en")


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("trian", r"has no split 'trian', only train. Did you mean 'train'\?"),
        ("test", "has no split 'test', only train. Set `test_split_size`"),
        ("train[5:]", "has no rows"),
        ("train[a:]", "is no split"),
    ],
)
def test_wrong_split_is_named(tmp_path, split, message):
    """The option, the split, those that there are and the way out."""
    splits = load_splits(str(write(tmp_path / "a.jsonl")))
    with pytest.raises(ValueError, match=message) as caught:
        take_split(splits, split, "dataset_test_split", "a.jsonl")
    assert "`dataset_test_split=" in str(caught.value)


def test_file_with_a_header_only_is_refused(tmp_path):
    """No rows is an error when they are read, not when they are trained on."""
    path = tmp_path / "a.csv"
    path.write_text("text,id\n")
    with pytest.raises(ValueError, match="there is a header, but there are no rows"):
        load_splits(str(path))
