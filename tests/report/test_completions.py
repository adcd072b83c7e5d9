"""The table of completions: what the terminal shows, and what the file holds."""

import io
import math
import sys
from pathlib import Path

import pytest
import torch
from pyarrow import parquet
from rich.console import Console
from rich.live import Live

from sternpost.report.completions import as_text, completions_file, joined, print_completions, save_completions

TABLE = {
    "step": [7] * 4,
    "prompt": ["1 + 1?", "1 + 1?", "[red]2 + 2?", "[red]2 + 2?"],
    "completion": ["it is 2", "it is 3", "it is 4", "it is 5"],
    "accuracy": [1.0, 0.0, math.nan, 0.0],
    "advantage": [0.5, -0.5, 0.0, 0.0],
    "words": [3, 3, 3, 3],
}


def printed(table, terminal=True, **options):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    print_completions(table, console=console, **options)
    return console.file.getvalue()


def test_the_terminal_shows_every_column():
    """Prompts as they are, numbers with three decimals, a dash for what is not given."""
    text = printed(TABLE)
    for word in ("step 7", "1 + 1?", "[red]2 + 2?", "it is 3", "accuracy", "-0.500", "1.000", "words"):
        assert word in text
    row = next(line for line in text.splitlines() if "it is 4" in line)
    assert [each.strip() for each in row.strip("│").split("│")] == ["[red]2 + 2?", "it is 4", "-", "0.000", "3"]


def test_some_completions_are_chosen():
    """As many as asked for, the same ones each time; or one of each prompt."""
    texts = TABLE["completion"]
    shown = printed(TABLE, count=2)
    assert sum(text in shown for text in texts) == 2
    assert printed(TABLE, count=2) == shown
    others = [printed({**TABLE, "step": [step] * 4}, count=2) for step in range(20)]
    assert {text for text in texts for other in others if text in other} == set(texts)
    unique = printed(TABLE, unique_prompts=True)
    assert [text in unique for text in texts] == [True, False, True, False]
    assert [text in printed(TABLE, count=1, unique_prompts=True) for text in texts].count(True) == 1


def test_nothing_is_shown_without_a_terminal():
    """Nor without completions."""
    assert printed(TABLE, terminal=False) == ""
    assert printed({name: [] for name in TABLE}) == ""


def test_a_progress_bar_stays_below(monkeypatch):
    """The table goes through the standard output that the live display has taken over."""
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    with Live("the bar", console=Console(file=stream, force_terminal=True, width=80), auto_refresh=False):
        print_completions(TABLE)
    text = stream.getvalue()
    assert "it is 5" in text
    assert text.rindex("the bar") > text.rindex("it is 5")


def test_the_file_holds_every_column(tmp_path):
    """Under its step; nothing else is left beside it."""
    path = completions_file(tmp_path, 7)
    assert path == tmp_path / "completions" / "completions_00007.parquet"
    for _ in range(2):  # a run that resumes writes it again
        save_completions(path, {**TABLE, "ids": [torch.tensor([1, 2])] * 4, "score": list(torch.ones(4))})
    found = parquet.read_table(path).to_pydict()
    assert found == {**TABLE, "accuracy": [1.0, 0.0, None, 0.0], "ids": [[1, 2]] * 4, "score": [1.0] * 4}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_column_without_values_keeps_its_type(tmp_path):
    """So that the files of all steps fit together."""
    save_completions(tmp_path / "a.parquet", {**TABLE, "accuracy": [math.nan] * 4})
    schema = parquet.read_schema(tmp_path / "a.parquet")
    assert str(schema.field("accuracy").type) == "double"


@pytest.mark.parametrize("values", [[1, "a", None, []], [object()] * 4, [{1: 2}, 3, 4, 5]])
def test_a_column_that_cannot_be_stored_is_named(tmp_path, values):
    """And what it holds; no file is left behind."""
    with pytest.raises(ValueError, match=r"the column `odd` of the table .* Log values of one kind"):
        save_completions(tmp_path / "completions" / "a.parquet", {**TABLE, "odd": values})
    assert list(tmp_path.rglob("*parquet*")) == []


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    """Writing fails half-way."""
    path = tmp_path / "a.parquet"
    save_completions(path, TABLE)
    before = path.read_bytes()

    def fails(table, where):
        Path(where).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(parquet, "write_table", fails)
    with pytest.raises(OSError, match="no space left"):
        save_completions(path, {**TABLE, "words": [1, 2, 3, 4]})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_messages_are_text():
    """Who says what, images as a mark, calls of tools with their arguments."""
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    chat = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what is it?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "1"},
    ]
    assert as_text(chat) == "user: [image]what is it?\nassistant: [add({'a': 1})]\ntool: 1"
    assert "it is 9" in printed({**TABLE, "completion": [[{"role": "assistant", "content": "it is 9"}]] * 4})


def test_tables_are_joined():
    """A column that one of them lacks is None there."""
    first, second = {"prompt": ["a"], "x": [1]}, {"prompt": ["b", "c"], "y": [2, 3]}
    assert joined([first, second]) == {"prompt": ["a", "b", "c"], "x": [1, None, None], "y": [None, 2, 3]}
    assert joined([]) == {}
