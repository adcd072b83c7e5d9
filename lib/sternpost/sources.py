"""Rows from where they lie: a name of the demo, local files, a saved data set or an id on the hub -> splits.

Checking that a source exists imports nothing heavy, so that the CLI can do it before anything else.
"""

import codecs
import contextlib
import csv
import difflib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BUILDERS = {
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".arrow": "arrow",
}
"""Kind of a local file, by its last suffix or the one before a compression suffix."""

COMPRESSION = {".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4"}
DEMO = "demo:"


def load_splits(
    path: str,
    option: str = "dataset_name",
    name: str | None = None,
    data_dir: str | None = None,
    data_files: Any = None,
    streaming: bool = False,
) -> Any:
    """All splits of a source, as a `DatasetDict` or, streaming, an `IterableDatasetDict`.

    `option` is the name that errors give to `path`.

    Raises:
        ValueError: unknown name of the demo, unreadable or empty data.
        FileNotFoundError: a local file or directory does not exist, or the hub has no such data set.
    """
    check_source(path, option)
    if path.startswith(DEMO):
        return demo_splits(path.removeprefix(DEMO), streaming)
    local = Path(path).expanduser()
    if local.is_file() and (data_files or data_dir or name):
        raise ValueError(
            f"`{option}={path!r}` is a file, so a configuration, `data_dir` or `data_files` means nothing. Leave them "
            "out, or name a directory."
        )
    if local.is_dir() and not (data_files or data_dir or name):
        saved = load_saved(local, option, streaming)
        if saved is not None:
            return saved
    return load_rows(path, local, option, streaming, name=name, data_dir=data_dir, data_files=data_files)


def check_source(path: str, option: str) -> None:
    """Raise if a source is certainly not there; what may be an id on the hub passes."""
    if path.startswith(DEMO):
        check_demo(path.removeprefix(DEMO), option)
        return
    local = Path(path).expanduser()
    if local.is_file():
        if builder_of(local) is None:
            raise ValueError(
                f"`{option}={path!r}` is a file of no known kind: the name must end in one of {suffixes()}."
            )
        if local.stat().st_size == 0:
            raise ValueError(f"`{option}={path!r}` is an empty file: there are no rows to train on.")
    elif local.is_dir():
        if not list(data_files_in(local)):
            raise ValueError(
                f"`{option}={path!r}` is a directory without data: no file in it ends in one of {suffixes()}."
            )
    elif looks_local(path):
        raise FileNotFoundError(f"`{option}={path!r}` does not exist{nearest_file(local)}")


def check_demo(name: str, option: str) -> None:
    from . import demo

    names = demo.datasets()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" Did you mean 'demo:{near[0]}'?" if near else ""
        raise ValueError(
            f"`{option}='{DEMO}{name}'` is not a data set of the demo, which has {', '.join(names)}.{hint}"
        )


def demo_splits(name: str, streaming: bool) -> Any:
    from datasets import DatasetDict, IterableDatasetDict

    from . import demo

    rows = demo.load(name)
    if streaming:
        return IterableDatasetDict({"train": rows.to_iterable_dataset()})
    return DatasetDict({"train": rows})


def load_saved(directory: Path, option: str, streaming: bool) -> Any:
    """What `save_to_disk` wrote, or None if the directory holds something else."""
    from datasets import Dataset, DatasetDict, IterableDatasetDict, load_from_disk

    if not any((directory / marker).is_file() for marker in ("dataset_dict.json", "state.json")):
        return None
    try:
        saved = load_from_disk(str(directory))
    except Exception as error:
        raise ValueError(
            f"`{option}='{directory}'` is a saved data set that cannot be read: {reason(error)}. Save it again with "
            "`save_to_disk`."
        ) from error
    splits = DatasetDict({"train": saved}) if isinstance(saved, Dataset) else saved
    if streaming:
        return IterableDatasetDict({name: rows.to_iterable_dataset() for name, rows in splits.items()})
    return splits


def load_rows(path: str, local: Path, option: str, streaming: bool, **where: Any) -> Any:
    """The splits of local files, of a directory of files, or of an id on the hub."""
    from datasets import load_dataset

    try:
        check_encoding(local)
        source = str(local) if local.is_dir() else path
        if local.is_file():
            source = str(builder_of(local))
            where = {"data_files": str(local)} | ({"sep": "\t"} if ".tsv" in local.suffixes else {})
        with error_raised_not_logged():
            return load_dataset(source, streaming=streaming, **where)
    except Exception as error:
        if local.exists():
            file, why = find_fault(local) or (local, reason(error))
            raise ValueError(
                f"`{option}={path!r}`: cannot read '{file}': {why}. Repair the file, or leave it out."
            ) from error
        if type(error) is ValueError or path in BUILDERS.values():
            raise ValueError(f"`{option}={path!r}`: {reason(error)}.") from error
        raise FileNotFoundError(
            f"`{option}={path!r}` is no local file or directory (looked in '{Path.cwd()}'), and the hub did not give "
            f"it: {reason(error)}."
        ) from error


@contextlib.contextmanager
def error_raised_not_logged() -> Iterator[None]:
    """`datasets` logs what it then raises; we say it once."""
    logger = logging.getLogger("datasets.packaged_modules")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def take_split(splits: Any, split: str, option: str, path: str) -> Any:
    """One split, or the part of one that `train[:100]` or `train[10%:]` names, or several joined by `+`.

    Raises:
        ValueError: there is no such split, or it has no rows.
    """
    unknown = [name for name in re.findall(r"(?:^|\+)\s*([^\[+\s]+)", split) if name not in splits]
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(splits), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        if not near and option == "dataset_test_split":
            hint = " Set `test_split_size` to hold out a part of the rows, or `eval_strategy` to 'no'."
        raise ValueError(f"`{option}={split!r}`: {path!r} has no split '{unknown[0]}', only {', '.join(splits)}.{hint}")
    if split in splits:
        rows = splits[split]
    else:
        rows = take_part(splits, split, option)
    if hasattr(rows, "__len__") and len(rows) == 0:
        raise ValueError(f"`{option}={split!r}`: this part of {path!r} has no rows.")
    return rows


def take_part(splits: Any, split: str, option: str) -> Any:
    from datasets import IterableDatasetDict, ReadInstruction, concatenate_datasets

    if isinstance(splits, IterableDatasetDict):
        raise ValueError(
            f"`{option}={split!r}`: a part of a split cannot be taken while streaming. Name a whole split."
        )
    try:
        pieces = ReadInstruction.from_spec(split).to_absolute({name: len(rows) for name, rows in splits.items()})
    except (AssertionError, ValueError) as error:
        raise ValueError(f"`{option}={split!r}` is no split: {error}. Write it as `train[:100]`.") from error
    parts = [(splits[piece.splitname], range(piece.from_, piece.to)) for piece in pieces]
    return concatenate_datasets([rows.select(wanted if len(wanted) else []) for rows, wanted in parts])


# ---- Local files


def builder_of(file: Path) -> str | None:
    """Which reader of `datasets` reads this file."""
    suffixes = [suffix.lower() for suffix in file.suffixes]
    if suffixes and suffixes[-1] in COMPRESSION:
        suffixes.pop()
    return BUILDERS.get(suffixes[-1]) if suffixes else None


def data_files_in(directory: Path) -> Iterator[Path]:
    return (file for file in sorted(directory.rglob("*")) if file.is_file() and builder_of(file))


def suffixes() -> str:
    return ", ".join(BUILDERS)


def looks_local(path: str) -> bool:
    return path.startswith((".", "/", "~")) or path.count("/") > 1 or builder_of(Path(path)) is not None


def nearest_file(missing: Path) -> str:
    """The most similar name beside a file that does not exist, as the end of a message."""
    if not missing.parent.is_dir():
        return f": there is no directory '{missing.parent}'."
    near = difflib.get_close_matches(missing.name, [file.name for file in missing.parent.iterdir()], n=1)
    return f". Did you mean '{missing.parent / near[0]}'?" if near else f" in '{missing.parent.absolute()}'."


# ---- What is wrong with a file that could not be read


def find_fault(path: Path) -> tuple[Path, str] | None:
    """The first file under `path` that is broken by itself, and why."""
    for file in [path] if path.is_file() else data_files_in(path):
        try:
            if file.stat().st_size == 0:
                return file, "the file is empty"
            fault = {"json": json_fault, "parquet": parquet_fault, "csv": csv_fault}.get(str(builder_of(file)))
            why = fault(file) if fault and file.suffix in BUILDERS else None
        except (OSError, UnicodeDecodeError) as error:
            return file, reason(error)
        if why:
            return file, why
    return None


def json_fault(file: Path) -> str | None:
    if file.suffix == ".json" and file.read_bytes().lstrip().startswith(b"["):
        try:
            json.loads(file.read_bytes())
        except json.JSONDecodeError as error:
            return f"line {error.lineno}: {error.msg}"
        return None
    number = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip() and not isinstance(json.loads(line), dict):
                    return f"line {number} is not an object {{...}}"
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                return f"line {number}: {error.msg if isinstance(error, json.JSONDecodeError) else error}"
    return None if number else "there are no rows"


def check_encoding(path: Path) -> None:
    """Raise if a JSON file is not UTF-8, which `datasets` would find out only when the text is used.

    Raises:
        UnicodeDecodeError: it is not.
    """
    for file in [path] if path.is_file() else data_files_in(path) if path.is_dir() else ():
        if builder_of(file) == "json" and file.suffix in BUILDERS:
            decoder = codecs.getincrementaldecoder("utf-8")()
            with file.open("rb") as chunks:
                while chunk := chunks.read(1 << 20):
                    decoder.decode(chunk)
            decoder.decode(b"", final=True)


def parquet_fault(file: Path) -> str | None:
    import pyarrow
    import pyarrow.parquet

    try:
        pyarrow.parquet.read_table(file)
    except pyarrow.ArrowException as error:
        return reason(error)
    return None


def csv_fault(file: Path) -> str | None:
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines, delimiter="\t" if file.suffix == ".tsv" else ",")
        width = len(next(rows, []))
        header = rows.line_num
        for row in rows:
            if len(row) > width:
                return f"line {rows.line_num} has {len(row)} values, but the header has {width} columns"
        return None if rows.line_num > header else "there is a header, but there are no rows"


def reason(error: BaseException) -> str:
    """The message of the first cause, on one line: what `datasets` wraps around it says nothing."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
