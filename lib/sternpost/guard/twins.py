"""Twins: functions that were copied on purpose, and the ledger `twins.toml` of how they may differ.

Rooms copy rather than share. A pair in the ledger is compared after renaming (`sft` on one side is `dpo` on the
other); the difference must be the accepted one, line for line. So a change to one side fails until the other side
changes too, or until the new difference is accepted with a reason:

    [[twins]]
    left = "sternpost.sft.trainer.SFTTrainer.log"
    right = "sternpost.dpo.trainer.DPOTrainer.log"
    reason = "Rooms are islands; DPO logs margins as well."
    rename = { sft = "dpo" }
    difference = '''
    +    self.store(margins)
    '''

Both sides carry a marker, `# twin: <the other side>`, above the function, so that who edits one knows of the other.
"""

import ast
import difflib
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .bodies import Bodies, Function
from .facts import Origin, Problem
from .settings import Settings
from .sources import Tree

MARKER = re.compile(r"^\s*#\s*twin:\s*([\w.]+)\s*$")
_KEYS = {"left": str, "right": str, "reason": str, "difference": str, "rename": dict}


class TwinsError(ValueError):
    """The ledger cannot be understood, or a function that is named does not exist."""


@dataclass(frozen=True)
class Pair:
    """One entry of the ledger. `difference` holds the lines of a diff from left to right, without context."""

    left: str
    right: str
    reason: str
    difference: tuple[str, ...] = ()
    rename: dict[str, str] = field(default_factory=dict)
    origin: Origin | None = None


@dataclass(frozen=True)
class Drift:
    """A pair that no longer differs as accepted."""

    pair: Pair
    found: tuple[str, ...]
    left_at: Origin
    right_at: Origin


class Twins:
    """The functions of one tree, by dotted path, and what the ledger says of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tree = Tree(settings)
        self.bodies = Bodies(self.tree)
        self.ledger = settings.snapshots / "twins.toml"
        self.pairs = read_ledger(self.ledger, settings.shown(self.ledger))

    def check(self) -> tuple[list[Drift], list[Problem]]:
        """The pairs that drifted, then what is wrong with entries and markers."""
        drifted: list[Drift] = []
        problems: list[Problem] = []
        for pair in self.pairs:
            missing = [path for path in (pair.left, pair.right) if self.function(path) is None]
            if missing:
                message = f"there is no function `{missing[0]}`. Correct the path, or delete the entry."
                problems.append(Problem(pair.origin or Origin(self.settings.shown(self.ledger)), message))
                continue
            found = self.difference(pair)
            if found != pair.difference:
                drifted.append(Drift(pair, found, self.origin(pair.left), self.origin(pair.right)))
        return drifted, [*problems, *self._markers()]

    def difference(self, pair: Pair) -> tuple[str, ...]:
        """How the right side differs from the left one once both are renamed."""
        left, right = self._lines(pair.left), self._lines(pair.right)
        for old, new in renamings(pair):
            pattern = re.compile(rf"(?<![A-Za-z0-9]){re.escape(old)}(?![a-z0-9])")
            left = [pattern.sub(new, line) for line in left]
        diff = difflib.unified_diff(left, right, lineterm="", n=0)
        return tuple(line for line in diff if not line.startswith(("---", "+++", "@@")))

    def function(self, path: str) -> Function | None:
        module = path.rpartition(".")[0]
        while module and not self.tree.has(module):
            module = module.rpartition(".")[0]
        return self.bodies.functions(module).get(path[len(module) + 1 :]) if module else None

    def origin(self, path: str) -> Origin:
        module = path.rpartition(".")[0]
        while module and not self.tree.has(module):
            module = module.rpartition(".")[0]
        node = self.function(path)
        return Origin(self.settings.shown(self.tree.files[module]), node.lineno if node else None)

    def accept(self, left: str, right: str, reason: str) -> Pair:
        """Enter a pair as it differs now, or enter its new difference.

        Raises:
            TwinsError: a function does not exist, or the reason is empty.
        """
        for path in (left, right):
            if self.function(path) is None:
                raise TwinsError(f"`{path}` is no function of {self.tree.name}. Give `package.module.Class.method`.")
        if not reason.strip():
            raise TwinsError("`--reason` is empty. Say why these two may differ, or why they are copies at all.")
        known = next((pair for pair in self.pairs if {pair.left, pair.right} == {left, right}), None)
        pair = replace(known or Pair(left, right, reason), reason=reason)
        pair = replace(pair, difference=self.difference(pair))
        self.pairs = sorted([*(p for p in self.pairs if p is not known), pair], key=lambda p: (p.left, p.right))
        self.ledger.parent.mkdir(parents=True, exist_ok=True)
        self.ledger.write_text(render_ledger(self.pairs), encoding="utf-8", newline="\n")
        return pair

    def _lines(self, path: str) -> list[str]:
        node = self.function(path)
        assert node is not None  # checked by the callers
        return plain_text(node).split("\n")

    def _markers(self) -> list[Problem]:
        """Markers without an entry, and sides of an entry without a marker."""
        wanted = {(one, other) for p in self.pairs for one, other in ((p.left, p.right), (p.right, p.left))}
        marked: set[tuple[str, str]] = set()
        problems = []
        for module, file in self.tree.files.items():
            if self.tree.module(module) is None:
                continue
            for number, path, other in self._marked(module, file):
                marked.add((path, other))
                if (path, other) not in wanted:
                    message = f"`{path or 'nothing'}` is marked as a twin of `{other}`, which the ledger does not know."
                    at = Origin(self.settings.shown(file), number)
                    problems.append(Problem(at, f"{message} Register it by `guard twins --accept`."))
        for pair in self.pairs:
            for one, other in ((pair.left, pair.right), (pair.right, pair.left)):
                if self.function(one) is not None and (one, other) not in marked:
                    problems.append(Problem(self.origin(one), f"needs the line `# twin: {other}` above `{one}`."))
        return problems

    def _marked(self, module: str, file: Path) -> list[tuple[int, str, str]]:
        """Line of a marker, the function below it, and the path that it names."""
        text = file.read_text(encoding="utf-8", errors="replace")
        if "twin:" not in text:
            return []
        starts = {
            min([node.lineno, *(d.lineno for d in node.decorator_list)]): name
            for name, node in self.bodies.functions(module).items()
        }
        lines = text.split("\n")
        found = []
        for number, line in enumerate(lines, start=1):
            if match := MARKER.match(line):
                below = number + 1
                while below <= len(lines) and (
                    not lines[below - 1].strip() or lines[below - 1].lstrip().startswith("#")
                ):
                    below += 1
                name = starts.get(below)
                found.append((number, f"{module}.{name}" if name else "", match[1]))
        return found


def renamings(pair: Pair) -> list[tuple[str, str]]:
    """Words of the left side and what they are called on the right: the entry's, then those of the paths."""
    found = dict(pair.rename)
    left, right = pair.left.split("."), pair.right.split(".")
    for one, other in zip(left, right, strict=False):
        if one != other:
            found.setdefault(one, other)
            for word, counterpart in zip(_words(one), _words(other), strict=False):
                if word != counterpart and len(_words(one)) == len(_words(other)):
                    found.setdefault(word, counterpart)
    return sorted(found.items(), key=lambda item: (-len(item[0]), item[0]))


def _words(name: str) -> list[str]:
    """`SFTTrainer` is `SFT`, `Trainer`; `sft_trainer` is `sft`, `trainer`."""
    return re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+", name)


def plain_text(node: Function) -> str:
    """A function without comments, docstring and layout."""
    copy = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(copy, Function)
    if ast.get_docstring(copy, clean=False) is not None:
        copy.body = copy.body[1:] or [ast.Pass()]
    return ast.unparse(copy)


def read_ledger(file: Path, shown: str) -> list[Pair]:
    """The pairs of the ledger; none if there is no file.

    Raises:
        TwinsError: names the entry and what it needs.
    """
    try:
        text = file.read_text(encoding="utf-8")
        entries = tomllib.loads(text).get("twins", [])
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise TwinsError(f"{shown}: cannot be read as TOML: {error}") from None
    lines = [number for number, line in enumerate(text.split("\n"), start=1) if line.strip() == "[[twins]]"]
    if not isinstance(entries, list) or len(entries) != len(lines):
        raise TwinsError(f"{shown}: must hold `[[twins]]` entries and nothing else.")
    return [_read(entry, Origin(shown, line)) for entry, line in zip(entries, lines, strict=True)]


def _read(entry: dict[str, object], origin: Origin) -> Pair:
    for key, value in entry.items():
        if key not in _KEYS or not isinstance(value, _KEYS[key]):
            raise TwinsError(f"{origin}: an entry has {', '.join(_KEYS)}; see `{key}`.")
    for key in ("left", "right", "reason"):
        if not str(entry.get(key, "")).strip():
            raise TwinsError(f"{origin}: `{key}` is missing or empty.")
    rename = entry.get("rename", {})
    assert isinstance(rename, dict)
    return Pair(
        left=str(entry["left"]),
        right=str(entry["right"]),
        reason=str(entry["reason"]),
        difference=tuple(line for line in str(entry.get("difference", "")).split("\n") if line),
        rename={str(key): str(value) for key, value in rename.items()},
        origin=origin,
    )


def render_ledger(pairs: Sequence[Pair]) -> str:
    """The text of the ledger, sorted as given."""
    blocks = ["# Functions that are copies on purpose, and how they may differ (docs/guard.md, Twins)."]
    for pair in pairs:
        lines = ["[[twins]]", *(f"{key} = {json.dumps(getattr(pair, key))}" for key in ("left", "right", "reason"))]
        if pair.rename:
            table = ", ".join(f"{json.dumps(old)} = {json.dumps(new)}" for old, new in sorted(pair.rename.items()))
            lines.append(f"rename = {{ {table} }}")
        if pair.difference:
            text = "\n".join(pair.difference)
            quoted = f"'''\n{text}\n'''" if "'''" not in text else json.dumps(text)
            lines.append(f"difference = {quoted}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"
