"""The ledger `experimental/promotions.toml`: thresholds, weights of the cost, and for each method who uses it.

[[methods]]
name = "kto"
since = "0.2.0"
measured = "docs/kto.md: agrees with the paper's table 2 within a point"
usage = [{ projects = 3, source = "code search for KTOTrainer", on = 2026-11-22 }]
"""

import tomllib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from .facts import Origin
from .settings import Settings

COUNTED_FOR = timedelta(days=365)
"""Usage that was counted longer ago says nothing any more."""

_KEYS: dict[str, type] = {"name": str, "since": str, "measured": str, "usage": list}
_USAGE: dict[str, type] = {"projects": int, "source": str, "on": date}
_NUMBERS = {"thresholds": ("promote", "demote"), "cost": ("lines", "hooks", "lookalikes")}


class LedgerError(ValueError):
    """The ledger cannot be understood."""


@dataclass(frozen=True)
class Entry:
    """One method in the ledger."""

    name: str
    origin: Origin
    since: str = ""
    measured: str = ""
    usage: tuple[tuple[int, date], ...] = ()

    def projects(self, today: date) -> int | None:
        """How many projects use it, as last counted; None if nobody has counted in a year."""
        recent = [(on, projects) for projects, on in self.usage if today - on <= COUNTED_FOR]
        latest = max((on for on, _ in recent), default=None)
        return None if latest is None else sum(projects for on, projects in recent if on == latest)


@dataclass(frozen=True)
class Ledger:
    promote: float
    demote: float
    weights: dict[str, float]
    entries: tuple[Entry, ...]


def ledger_file(settings: Settings) -> Path:
    return settings.package / "experimental" / "promotions.toml"


def read_ledger(file: Path, shown: str) -> Ledger:
    """The ledger.

    Raises:
        LedgerError: names the entry and what it needs.
    """
    try:
        text = file.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise LedgerError(f"{shown} does not exist. docs/guard.md shows what it holds.") from None
    except (OSError, ValueError) as error:
        raise LedgerError(f"{shown}: cannot be read as TOML: {error}") from None
    numbers: dict[str, float] = {}
    for table, keys in _NUMBERS.items():
        for key in keys:
            value = data.get(table, {}).get(key) if isinstance(data.get(table), dict) else None
            if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
                raise LedgerError(f"{shown}: `{key}` of `[{table}]` must be a number of at least 0, got {value!r}.")
            numbers[key] = float(value)
    methods = data.get("methods", [])
    lines = [number for number, line in enumerate(text.split("\n"), start=1) if line.strip() == "[[methods]]"]
    if not isinstance(methods, list) or len(methods) != len(lines):
        raise LedgerError(f"{shown}: methods stand as `[[methods]]`, one after the other.")
    entries = tuple(_entry(method, Origin(shown, line)) for method, line in zip(methods, lines, strict=True))
    weights = {key: numbers[key] for key in _NUMBERS["cost"]}
    return Ledger(numbers["promote"], numbers["demote"], weights, entries)


def _entry(method: dict[str, Any], origin: Origin) -> Entry:
    for key, value in method.items():
        if key not in _KEYS or not isinstance(value, _KEYS[key]):
            raise LedgerError(f"{origin}: an entry has {', '.join(_KEYS)}; see `{key}`.")
    if not method.get("name"):
        raise LedgerError(f"{origin}: `name` is missing: the folder of the method.")
    usage = []
    for count in method.get("usage", []):
        if not isinstance(count, dict) or count.keys() != _USAGE.keys():
            raise LedgerError(f"{origin}: each `usage` has {', '.join(_USAGE)}.")
        for key, type_ in _USAGE.items():
            if not isinstance(count[key], type_):
                raise LedgerError(f"{origin}: `{key}` of a `usage` must be a {type_.__name__}, got {count[key]!r}.")
        usage.append((count["projects"], count["on"]))
    return Entry(method["name"], origin, method.get("since", ""), method.get("measured", ""), tuple(usage))
