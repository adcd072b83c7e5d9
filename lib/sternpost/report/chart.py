"""Series of points -> a line chart as inline SVG; colours come from the page's style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 34
MARKS = 120
"""At most so many points carry a tooltip."""


@dataclass(frozen=True)
class Series:
    """Points (step, value) in the order of the steps; values that are not finite leave a gap."""

    name: str
    points: tuple[tuple[float, float], ...]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten apart) that enclose low and high."""
    if high <= low:
        margin = abs(low) / 10 or 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / (count - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [at * step for at in range(first, last + 1)]


def label(value: float, step: float) -> str:
    """A tick with as many digits as its distance to the next needs."""
    if value and (abs(value) >= 1e7 or step < 1e-4):
        return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e")
    return f"{value:,.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"


def runs(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """The points cut where a value is not finite."""
    cut: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if math.isfinite(y):
            cut[-1].append((x, y))
        elif cut[-1]:
            cut.append([])
    return [run for run in cut if run]


def line_chart(name: str, series: Sequence[Series]) -> str:
    """One chart; a legend where there is more than one series, and a note on values that are not finite."""
    finite = [(x, y) for one in series for x, y in one.points if math.isfinite(y)]
    if not finite:
        return "<p class=note>No finite value was logged.</p>"
    y_ticks = ticks(min(y for _, y in finite), max(y for _, y in finite))
    x_low, x_high = min(x for x, _ in finite), max(x for x, _ in finite)
    x_ticks = [x for x in ticks(x_low, x_high) if x_low <= x <= x_high] if x_high > x_low else [x_low]

    def at_x(x: float) -> float:
        share = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def at_y(y: float) -> float:
        return HEIGHT - BOTTOM - (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for y in y_ticks:
        height = f"{at_y(y):.1f}"
        parts.append(f'<path class=grid d="M{LEFT} {height}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{height}" class=y>{label(y, y_ticks[1] - y_ticks[0])}</text>')
    x_step = x_ticks[1] - x_ticks[0] if len(x_ticks) > 1 else 1
    parts += [f'<text x="{at_x(x):.1f}" y="{HEIGHT - 12}" class=x>{label(x, x_step)}</text>' for x in x_ticks]
    for order, one in enumerate(series):
        for run in runs(one.points):
            path = "L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in run)
            parts.append(f'<path class="line s{order}" d="M{path}"/>')
        shown = [(x, y) for x, y in one.points if math.isfinite(y)]
        every = max(1, math.ceil(len(shown) / MARKS))
        dot = 'class="dot s{}"' if len(shown) == 1 or one.name == "evaluation" else 'class="hover s{}"'
        parts += [
            f'<circle {dot.format(order)} cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="4">'
            f"<title>{escape(one.name)}, step {x:g}: {y:.5g}</title></circle>"
            for x, y in shown[::every]
        ]
    legend = "".join(f'<span class="s{order}">{escape(one.name)}</span>' for order, one in enumerate(series))
    legend = f"<p class=legend>{legend}</p>" if len(series) > 1 else ""
    lost = sum(len(one.points) for one in series) - len(finite)
    note = f"<p class=note>{lost} logged values are not finite and not drawn.</p>" if lost else ""
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role=img aria-label="{escape(name)} by step">{"".join(parts)}</svg>'
    return legend + svg + note
