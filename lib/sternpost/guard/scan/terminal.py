"""A scan for a terminal: the blocks of the text report in colour, with the lines around each hit."""

from rich.console import Console, Group, RenderableType
from rich.syntax import Syntax
from rich.text import Text

from .hits import Hit
from .report import MAX_LINES, printable, sides_of, source_lines, summary
from .scan import Scan

AROUND = 1
"""Lines that are shown before and after the one that is hit."""
MAX_SHOWN = 3
"""Excerpts of one cause; of the other hits only the places are named."""
STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def show(scan: Scan, console: Console) -> None:
    """Print the whole scan. Nothing of the project's text is taken for markup or for a terminal's commands."""
    for problem in scan.problems:
        console.print(Text(printable(f"cannot read  {problem}"), "red"))
    for hits in scan.causes.values():
        console.print(_block(hits, scan), "")
    for hit, reason in scan.accepted:
        console.print(Text(printable(f"accepted  {hit.place}: {hit.says} ({reason})"), "dim"))
    for complaint in scan.complaints:
        console.print(Text(printable(f"comment  {complaint}"), "yellow"))
    console.print(Text(printable(summary(scan)), "bold"))


def _block(hits: list[Hit], scan: Scan) -> Group:
    first = hits[0]
    head = Text.assemble((f"{first.level.upper()} {first.rule}", STYLES[first.level]), ": ", printable(first.says))
    parts: list[RenderableType] = [head]
    if first.fix:
        parts.append(Text.assemble(("  do:   ", "green"), printable(first.fix)))
    parts += [Text(printable(f"  {label}  {origin} ({side})"), "dim") for label, origin, side in sides_of(first, scan)]
    for hit in hits[:MAX_SHOWN]:
        parts += [Text(printable(f"  {hit.place}"), "underline"), _excerpt(hit, scan)]
    rest = hits[MAX_SHOWN:]
    parts += [Text(printable(f"  {hit.place}"), "underline") for hit in rest[:MAX_LINES]]
    parts += [Text(f"  ... and {len(rest) - MAX_LINES} more lines")] if len(rest) > MAX_LINES else []
    return Group(*parts)


def _excerpt(hit: Hit, scan: Scan) -> RenderableType:
    """The line that is hit, marked, between its neighbours."""
    lines = source_lines(hit, scan)
    first = max(hit.at - AROUND, 1)
    shown = [printable(line)[:160] for line in lines[first - 1 : hit.at + AROUND]]
    if not shown:
        return Text("    (no source)", "dim")
    marks = {hit.at}
    return Syntax(
        "\n".join(shown), "python", line_numbers=True, start_line=first, highlight_lines=marks, padding=(0, 2)
    )
