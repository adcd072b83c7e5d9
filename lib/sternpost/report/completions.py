"""What a policy wrote and what it got for it: a table in the terminal, a Parquet file in the run directory."""

import math
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from accelerate import PartialState
from accelerate.utils import gather_object
from rich.console import Console
from rich.table import Table
from rich.text import Text

Columns: TypeAlias = Mapping[str, Sequence[Any]]
"""`step`, `prompt` and `completion` (text or messages), a column for each reward (None or not-a-number where it says
nothing), `advantage`, and what rewards logged with `log_extra`."""


def joined(tables: Sequence[Columns]) -> dict[str, list[Any]]:
    """Several tables as one; a column that is not in all of them has None there."""
    names = dict.fromkeys(name for table in tables for name in table)
    return {
        name: [value for table in tables for value in table.get(name, [None] * len(table["prompt"]))] for name in names
    }


def show_completions(
    tables: Sequence[Columns], run_dir: str | Path, step: int, count: int | None, unique_prompts: bool
) -> None:
    """Write the completions of all ranks to the run directory and show some of them; every rank must do so."""
    tables = gather_object(list(tables))
    if tables and PartialState().is_main_process:
        columns = joined(tables)
        save_completions(completions_file(run_dir, step), columns)
        print_completions(columns, count, unique_prompts)


def print_completions(
    columns: Columns,
    count: int | None = None,
    unique_prompts: bool = False,
    console: Console | None = None,
) -> None:
    """Show completions as a table, if there is a terminal.

    Args:
        columns: What is shown; see `Columns`.
        count: How many, drawn at random, the same ones for the same step; by default all.
        unique_prompts: Only the first completion of each prompt.
        console: Where; by default the standard output, above a progress bar if there is one.
    """
    stream = console.file if console else sys.stdout
    console = console or Console(highlight=False)
    prompts = [as_text(prompt) for prompt in columns["prompt"]]
    if not console.is_terminal or not prompts:
        return
    first = {prompt: at for at, prompt in reversed([*enumerate(prompts)])}
    rows = sorted(first.values()) if unique_prompts else list(range(len(prompts)))
    if count is not None and count < len(rows):
        rows = sorted(random.Random(columns["step"][0]).sample(rows, count))
    table = Table(title=f"step {columns['step'][0]}", show_lines=True, expand=True)
    shown = [name for name in columns if name != "step"]
    for name in shown:
        wide = name in ("prompt", "completion")
        table.add_column(Text(name), ratio=1 if wide else None, overflow="fold", justify="left" if wide else "right")
    for row in rows:
        table.add_row(*(Text(cell(name, columns[name][row])) for name in shown))
    with console.capture() as captured:
        console.print(table)
    print(captured.get(), end="", file=stream, flush=True)  # by `print`, which a progress bar lets pass


def save_completions(path: str | Path, columns: Columns) -> None:
    """Write completions as Parquet, whole or not at all.

    Raises:
        ValueError: a column holds what Parquet cannot; the message names it.
        OSError: the file cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    arrays = {}
    for name, values in columns.items():
        found = [stored(name, value) for value in values]
        numbers = [value for value in found if value is not None]
        kind = pyarrow.float64() if numbers and all(type(value) is float for value in numbers) else None
        try:
            arrays[name] = pyarrow.array(found, kind, from_pandas=True)  # not-a-number is null
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            kinds = ", ".join(sorted({type(value).__name__ for value in found}))
            raise ValueError(
                f"the column `{name}` of the table of completions holds {kinds}, which Parquet cannot store in one "
                f"column: {error}. Log values of one kind: numbers, text, or lists of them."
            ) from error
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        parquet.write_table(pyarrow.table(arrays), unfinished)
        Path(unfinished).replace(path)
    finally:
        Path(unfinished).unlink(missing_ok=True)


def completions_file(run_dir: str | Path, step: int) -> Path:
    """Where the completions of a step are in a run directory."""
    return Path(run_dir) / "completions" / f"completions_{step:05d}.parquet"


def as_text(said: Any) -> str:
    """Text as it is; messages one after the other, each behind who speaks, with the tools that it calls."""
    if isinstance(said, str):
        return said
    return "\n".join(f"{message.get('role', '')}: {content_of(message)}".rstrip() for message in said)


def content_of(message: Mapping[str, Any]) -> str:
    """What a message says: its text, a mark for what is no text, and calls of tools."""
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "".join(part.get("text") or f"[{part.get('type')}]" for part in content)
    calls = [call.get("function", call) for call in message.get("tool_calls") or ()]
    return content + "".join(f"[{call.get('name')}({call.get('arguments')})]" for call in calls)


def stored(name: str, value: Any) -> Any:
    """A value as it is stored: text for messages, Python's numbers for those of arrays."""
    if name in ("prompt", "completion"):
        return as_text(value)
    return value.tolist() if hasattr(value, "tolist") else value


def cell(name: str, value: Any) -> str:
    """A value as the table shows it."""
    value = stored(name, value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
