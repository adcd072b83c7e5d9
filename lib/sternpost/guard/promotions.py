"""Which experimental method is to be promoted, and which room to be demoted: usage by maintenance cost, computed.

Usage is what the ledger says (`promotion_ledger`). Cost is read from the tree: lines of code, overridden methods of
bases in other libraries (each may break with their next release), and functions that look like another one and are
nobody's twin.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import griffe

from .bodies import Bodies
from .check import load, newest_frozen
from .classes import foreign_bases
from .exports import is_room
from .facts import Origin, Problem
from .foreign import foreign_base, known_bases
from .lookalikes import look_alikes
from .promotion_ledger import Entry, ledger_file, read_ledger
from .resolve import Resolver
from .settings import Settings
from .twins import Twins

_HEADINGS = ("Paper", "Status", "Measured")
"""What the README of an experimental method has to speak of."""


@dataclass(frozen=True)
class Standing:
    """A method as it stands: what it costs, what it brings, what it lacks."""

    name: str
    stable: bool
    lines: int
    hooks: tuple[str, ...]
    lookalikes: int
    cost: float
    projects: int | None
    missing: tuple[str, ...] = ()
    verdict: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.projects is None else self.projects / self.cost


class Promotions:
    """The methods of one tree beside the ledger."""

    def __init__(self, settings: Settings, today: date | None = None) -> None:
        self.settings = settings
        self.today = today or date.today()
        file = ledger_file(settings)
        self.ledger = read_ledger(file, settings.shown(file))
        self.twins = Twins(settings)
        self.tree = self.twins.tree
        self.resolver = Resolver(self.tree)
        self.bodies = Bodies(self.tree)
        self.alike = look_alikes(self.twins)

    def methods(self) -> dict[str, str]:
        """Name of each room and each experimental method -> its module."""
        found = {}
        for module in self.tree.files:
            parts = module.split(".")
            if len(parts) == 2 and is_room(self.resolver, module):
                found[parts[1]] = module
            elif len(parts) == 3 and parts[1] == "experimental" and self.tree.is_package(module):
                found[parts[2]] = module
        return dict(sorted(found.items()))

    def standings(self) -> list[Standing]:
        """Every method, the experimental ones first, each with what to do about it."""
        entries = {entry.name: entry for entry in self.ledger.entries}
        found = [self._standing(module, entries.get(name)) for name, module in self.methods().items()]
        return sorted(found, key=lambda one: (one.stable, one.name))

    def problems(self) -> list[Problem]:
        """Methods without an entry, and entries without a method."""
        file = self.settings.shown(ledger_file(self.settings))
        methods, named = self.methods(), [entry.name for entry in self.ledger.entries]
        told = [
            Problem(Origin(file), f"`{module}` has no entry: who uses it, and what was measured?")
            for name, module in methods.items()
            if name not in named
        ]
        for entry in self.ledger.entries:
            if entry.name not in methods:
                told.append(Problem(entry.origin, f"there is no method `{entry.name}`. Delete the entry."))
            elif named.count(entry.name) > 1:
                told.append(Problem(entry.origin, f"`{entry.name}` has more than one entry."))
        return told

    def _standing(self, module: str, entry: Entry | None) -> Standing:
        name = module.rpartition(".")[2]
        stable = is_room(self.resolver, module)
        lines, hooks = self._lines(module), self._hooks(module)
        alike = sum(any(_inside(side, module) for side in (pair.left, pair.right)) for pair in self.alike)
        weights = self.ledger.weights
        cost = max(weights["lines"] * lines + weights["hooks"] * len(hooks) + weights["lookalikes"] * alike, 0.01)
        projects = entry.projects(self.today) if entry is not None else None
        standing = Standing(name, stable, lines, hooks, alike, cost, projects)
        missing = () if stable else self._missing(module, entry, standing)
        return replace(standing, missing=missing, verdict=self._verdict(standing, missing))

    def _verdict(self, standing: Standing, missing: Sequence[str]) -> str:
        if standing.ratio is None:
            return "count who uses it"
        if standing.stable:
            return "demote" if standing.ratio < self.ledger.demote else "keep"
        return "wait" if missing else "promote"

    def _missing(self, module: str, entry: Entry | None, standing: Standing) -> tuple[str, ...]:
        """What an experimental method lacks to be promoted."""
        folder = self.tree.files[module].parent
        told = []
        if standing.ratio is None or standing.ratio < self.ledger.promote:
            told.append(f"a ratio of {self.ledger.promote:g}")
        readme = folder / "README.md"
        text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
        lacking = [heading for heading in _HEADINGS if f"# {heading}" not in text]
        told += [f"{', '.join(lacking)} in its README.md"] if lacking else []
        told += ["a measured result in the ledger"] if entry is None or not entry.measured else []
        tests = self.settings.root / "tests" / "experimental" / standing.name
        told += ["tests"] if not any(tests.glob("test_*.py")) else []
        told += ["to be in a release"] if not self._is_released(module) else []
        told += [f"{standing.lookalikes} look-alikes registered as twins"] if standing.lookalikes else []
        return tuple(told)

    def _is_released(self, module: str) -> bool:
        newest = newest_frozen(self.settings.snapshots)
        return newest is not None and module in load(newest, self.settings).names

    def _lines(self, module: str) -> int:
        """Lines of code, without comments, docstrings and layout: what has to be read to change something."""
        return sum(_code_lines(tree) for m in self._modules(module) if (tree := self.tree.syntax(m)) is not None)

    def _hooks(self, module: str) -> tuple[str, ...]:
        """Methods that override one of a base in another library."""
        found = []
        for name in self._modules(module):
            known = self.tree.module(name)
            for class_ in known.members.values() if known is not None else ():
                if not isinstance(class_, griffe.Class):
                    continue
                homes = {foreign_base(base) for base in foreign_bases(class_, self.resolver)}
                inherited = {fact.name for home in homes if home for fact in known_bases().owned("method", home)}
                found += [f"{class_.name}.{member}" for member in class_.members if member in inherited]
        return tuple(sorted(found))

    def _modules(self, module: str) -> list[str]:
        return [path for path in self.tree.files if path == module or _inside(path, module)]


def _inside(path: str, module: str) -> bool:
    return path.startswith(f"{module}.")


def _code_lines(tree: ast.Module) -> int:
    """Of the tree written anew, so that layout does not count."""
    bare = ast.parse(ast.unparse(tree))
    for node in ast.walk(bare):
        body = getattr(node, "body", None)
        if isinstance(body, list) and isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            node.body = [s for s in body if not _is_text(s)] or [ast.Pass()]
    return len([line for line in ast.unparse(bare).split("\n") if line.strip()])


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def report(settings: Settings, today: date | None = None) -> tuple[str, int]:
    """The table with what is missing, and the exit code: 1 if the ledger and the tree do not fit."""
    promotions = Promotions(settings, today)
    ledger, problems = promotions.ledger, promotions.problems()
    lines = [f"promotions  {problem}" for problem in problems]
    rows = [("method", "tier", "lines", "hooks", "cost", "projects", "ratio", "verdict")]
    for one in promotions.standings():
        usage = ("?", "?") if one.ratio is None else (str(one.projects), f"{one.ratio:.2f}")
        tier = "stable" if one.stable else "experimental"
        rows.append((one.name, tier, str(one.lines), str(len(one.hooks)), f"{one.cost:.1f}", *usage, one.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{one.name} lacks {'; '.join(one.missing)}" for one in promotions.standings() if one.missing]
    weights = " + ".join(f"{weight:g} x {name}" for name, weight in ledger.weights.items())
    lines.append(
        f"promotions: projects by cost ({weights}); promote from {ledger.promote:g}, demote below {ledger.demote:g}"
    )
    return "\n".join(lines) + "\n", int(bool(problems))
