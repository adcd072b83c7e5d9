"""A scan as it looks on a terminal."""

import io
from pathlib import Path

from rich.console import Console

from sternpost.guard.scan.terminal import show

from .projects import BASE, scanned

NEW = BASE.replace("value=0", "padding_value=0")


def shown(found, colour: bool) -> str:
    out = io.StringIO()
    show(found, Console(file=out, width=120, force_terminal=colour, color_system="standard" if colour else None))
    return out.getvalue()


def test_the_line_between_its_neighbours(tmp_path: Path):
    """Marked, with its number; the remedy and one line of verdict."""
    found = scanned(tmp_path, "from lib import pad\nx = 1\npad(x, value=2)\ny = 2\n", BASE, NEW)
    text = shown(found, False)
    assert "ERROR argument-gone: `lib.pad` no longer takes `value`." in text
    assert "do:   `padding_value` is probably the same thing." in text
    lines = [line.strip() for line in text.splitlines()]
    at = lines.index("app.py:3")
    assert [line.split(maxsplit=1)[-1].strip() for line in lines[at + 1 : at + 4]] == [
        "x = 1",
        "3 pad(x, value=2)",
        "y = 2",
    ]
    assert lines[-1].startswith("guard scan: project breaks")
    assert "\x1b[1;31m" in shown(found, True)


def test_strangers_text_is_only_text(tmp_path: Path):
    """Neither rich's markup nor escape sequences of the project take effect."""
    found = scanned(tmp_path, "from lib import pad\npad('[bold]\x1b]0;x', value=2)\n", BASE, NEW)
    text = shown(found, False)
    assert "[bold]\ufffd]0;x" in text
    assert "\x1b" not in text


def test_long_causes_are_counted(tmp_path: Path):
    """Three excerpts, a dozen places, and how many more there are."""
    found = scanned(tmp_path, "from lib import pad\n" + "pad(1, value=2)\n" * 20, BASE, NEW)
    text = shown(found, False)
    assert text.count("app.py:") == 15
    assert "... and 5 more lines" in text
