"""What a page can show. Every section renders itself; all text is escaped here and nowhere else."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from .chart import Series, line_chart

LAST = ("learning_rate", "grad_norm", "num_tokens")
"""Metrics that explain a run more than they describe its success: shown after all others."""
TOTALS = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss", "total_flos")
"""What the trainer logs once, at the end: a table, not curves."""


class Section(Protocol):
    """Anything with a title that renders itself as HTML."""

    @property
    def title(self) -> str: ...

    def html(self) -> str: ...


def number(value: Any) -> str:
    """A value as a reader wants it: four significant digits, thousands separated."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (math.isfinite(value) and abs(value) >= 10_000):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def cell(value: Any) -> str:
    kind = "" if isinstance(value, bool) or not isinstance(value, int | float) else ' class="number"'
    return f"<td{kind}>{escape(number(value))}</td>"


def bar(kind: str, value: float) -> str:
    drawn = f'<span class="bar {kind}"><i style="width:{value:.1%}"></i></span>'
    return f"<td class=number>{drawn}<span class=share>{value:.1%}</span></td>"


def heading(names: Sequence[str], numeric: Sequence[bool]) -> str:
    return "".join(
        f"<th{' class=number' if right else ''}>{escape(name)}</th>" for name, right in zip(names, numeric, strict=True)
    )


def framed(head: str, body: str, note: str) -> str:
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class=wide>{table}</div>" + (f"<p class=note>{escape(note)}</p>" if note else "")


@dataclass(frozen=True)
class Table:
    """Rows of values under a header; a note below says what they mean."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""

    def html(self) -> str:
        numeric = [any(isinstance(row[at], int | float) for row in self.rows) for at in range(len(self.header))]
        head = heading(self.header, numeric)
        body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in self.rows)
        return framed(head, body, self.note)


@dataclass(frozen=True)
class Comparison:
    """Fractions before and after, by name; each with a bar, the last column the change in points."""

    title: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    note: str = ""

    def html(self) -> str:
        rows = []
        for name, after in self.after.items():
            before = self.before[name]
            bars = "".join(bar(kind, value) for kind, value in (("before", before), ("after", after)))
            rows.append(f"<tr><td>{escape(name)}</td>{bars}<td class=number>{100 * (after - before):+.1f}</td></tr>")
        head = heading(("", "before", "after", "points"), (False, True, True, True))
        return framed(head, "".join(rows), self.note)


@dataclass(frozen=True)
class Samples:
    """Prompts with one completion per column; `right` marks each completion, or is empty."""

    title: str
    columns: Sequence[str]
    prompts: Sequence[str]
    completions: Sequence[Sequence[str]]
    right: Sequence[Sequence[bool]] = ()

    def html(self) -> str:
        cards = []
        for at, prompt in enumerate(self.prompts):
            replies = []
            for column, (name, text) in enumerate(zip(self.columns, self.completions[at], strict=True)):
                mark = ""
                if self.right:
                    mark = "<b class=right>✓ right</b>" if self.right[at][column] else "<b class=wrong>✗ wrong</b>"
                replies.append(f"<div><h4>{escape(name)} {mark}</h4><pre>{escape(text)}</pre></div>")
            cards.append(f"<article><p>{escape(prompt)}</p><div class=replies>{''.join(replies)}</div></article>")
        return "".join(cards)


@dataclass(frozen=True)
class Curves:
    """One chart per metric of a trainer's log history, evaluation beside training, and the values as a table."""

    title: str
    log_history: Sequence[Mapping[str, Any]]

    def series(self) -> dict[str, list[Series]]:
        """Metric -> its training and evaluation series, the most telling first."""
        points: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for entry in self.log_history:
            for key, value in entry.items():
                if key in ("step", "epoch", *TOTALS) or isinstance(value, bool) or not isinstance(value, int | float):
                    continue
                name, kind = (key[5:], "evaluation") if key.startswith("eval_") else (key, "training")
                points.setdefault(name, {}).setdefault(kind, []).append((entry.get("step", 0), value))
        order = sorted(points, key=lambda name: (name in LAST, name != "loss"))
        return {name: [Series(kind, tuple(values)) for kind, values in points[name].items()] for name in order}

    def html(self) -> str:
        charts = "".join(
            f"<figure><figcaption>{escape(name)}</figcaption>{line_chart(name, series)}</figure>"
            for name, series in self.series().items()
        )
        if not charts:
            return "<p class=note>The run has logged no metric.</p>"
        keys = list(dict.fromkeys(key for entry in self.log_history for key in entry))
        rows = [[entry.get(key, "") for key in keys] for entry in self.log_history]
        values = f"<details><summary>All logged values</summary>{Table('', keys, rows).html()}</details>"
        totals = [(key, entry[key]) for entry in self.log_history for key in TOTALS if key in entry]
        table = Table("", ("in all", ""), totals).html() if totals else ""
        return f"<div class=charts>{charts}</div>{table}{values}"
