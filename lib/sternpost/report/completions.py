"""What a policy wrote and what it got for it: a table in the terminal, a Parquet file in the run directory."""

import math
import os
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

Columns: TypeAlias = dict[str, list[Any]]


def completion_columns(
    step: int,
    prompts: Sequence[Any],
    completions: Sequence[Any],
    rewards: Mapping[str, Sequence[float | None]],
    advantages: Sequence[float],
    extra: Mapping[str, Sequence[Any]] | None = None,
) -> Columns:
    """The columns of the table: step, prompt, completion, a column for each reward, advantage, and what rewards logged.

    Prompts and completions are text; messages become text, a line for who speaks. Rewards that are not given are None.

    Raises:
        ValueError: a column has not one value for each completion, or there are two of one name.
    """
    columns: Columns = {
        "step": [step] * len(completions),
        "prompt": [as_text(prompt) for prompt in prompts],
        "completion": [as_text(completion) for completion in completions],
    }
    for name, values in {**rewards, "advantage": advantages, **(extra or {})}.items():
        if name in columns or (name in rewards and name in (extra or {})):
            raise ValueError(f"the table of completions has two columns `{name}`. Choose another name for one.")
        columns[name] = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
    for name, values in columns.items():
        if len(values) != len(completions):
            raise ValueError(f"the column `{name}` has {len(values)} values for {len(completions)} completions.")
    return columns


def print_completions(
    columns: Mapping[str, Sequence[Any]],
    count: int | None = None,
    unique_prompts: bool = False,
    console: Console | None = None,
) -> None:
    """Show completions as a table, if there is a terminal.

    Args:
        columns: What [`completion_columns`] gives.
        count: How many, drawn at random, the same ones for the same step; by default all.
        unique_prompts: Only the first completion of each prompt.
        console: Where; by default the standard output, above a progress bar if there is one.
    """
    stream = console.file if console else sys.stdout
    console = console or Console(highlight=False)
    total = len(columns["prompt"])
    if not console.is_terminal or not total:
        return
    chosen = list(dict(zip(reversed(columns["prompt"]), reversed(range(total)))).values()) if unique_prompts else None
    rows = sorted(range(total) if chosen is None else chosen)
    if count is not None and count < len(rows):
        rows = sorted(random.Random(columns["step"][0]).sample(rows, count))
    table = Table(title=f"step {columns['step'][0]}", show_lines=True, expand=True)
    shown = [name for name in columns if name != "step"]
    for name in shown:
        wide = name in ("prompt", "completion")
        table.add_column(Text(name), ratio=1 if wide else None, overflow="fold", justify="left" if wide else "right")
    for row in rows:
        table.add_row(*(Text(cell(columns[name][row])) for name in shown))
    with console.capture() as captured:
        console.print(table)
    print(captured.get(), end="", file=stream, flush=True)  # by `print`, which a progress bar lets pass


def save_completions(path: str | Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write completions as Parquet, whole or not at all.

    Raises:
        ValueError: a column holds what Parquet cannot; the message names it.
        OSError: the file cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = pyarrow.array([plain(value) for value in values])
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            kinds = ", ".join(sorted({type(value).__name__ for value in values}))
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


def plain(value: Any) -> Any:
    """Arrays, tensors and their numbers as Python has them."""
    return value.tolist() if hasattr(value, "tolist") else value


def cell(value: Any) -> str:
    """A value as the table shows it."""
    value = plain(value)
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
