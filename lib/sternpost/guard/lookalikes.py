"""Functions that are mostly alike although nobody registered them as twins."""

import ast
import copy
import difflib
from collections import Counter, defaultdict
from dataclasses import dataclass

from .bodies import Function
from .facts import Origin
from .twins import Twins, plain_text

MIN_LINES = 8
"""Shorter functions are alike by chance."""

MIN_ALIKE = 0.8
"""Share of lines that two functions have in common, once their own names are taken away."""

MAX_SHARED = 40
"""A line that more functions have says nothing about any two of them."""


@dataclass(frozen=True)
class LookAlike:
    """Two functions and the share of their lines that are the same, names of variables aside."""

    left: str
    right: str
    alike: float
    left_at: Origin
    right_at: Origin


def look_alikes(twins: Twins, least: float = MIN_ALIKE) -> list[LookAlike]:
    """All pairs that the ledger does not know, the most alike first."""
    known = {frozenset((pair.left, pair.right)) for pair in twins.pairs}
    lines = {}
    for module in twins.tree.files:
        for name, node in twins.bodies.functions(module).items():
            found = shape(node)
            if len(found) >= MIN_LINES:
                lines[f"{module}.{name}"] = found
    places: dict[str, list[str]] = defaultdict(list)
    for path, found in lines.items():
        for line in set(found):
            places[line].append(path)
    shared: Counter[tuple[str, str]] = Counter()
    for paths in places.values():
        if 1 < len(paths) <= MAX_SHARED:
            shared.update((one, other) for i, one in enumerate(paths) for other in paths[i + 1 :])
    result = []
    for (one, other), common in shared.items():
        # Lines that count twice, or too often to be looked at, are why less than the least suffices here.
        if common >= 0.5 * least * max(len(set(lines[one])), len(set(lines[other]))):
            alike = difflib.SequenceMatcher(None, lines[one], lines[other], autojunk=False).ratio()
            if alike >= least and frozenset((one, other)) not in known:
                result.append(LookAlike(one, other, alike, twins.origin(one), twins.origin(other)))
    return sorted(result, key=lambda pair: (-pair.alike, pair.left, pair.right))


def shape(node: Function) -> list[str]:
    """The lines of a function with its own variables numbered in the order in which they appear."""
    plain = ast.parse(plain_text(node)).body[0]
    assert isinstance(plain, Function)
    own = {arg.arg for arg in ast.walk(plain) if isinstance(arg, ast.arg)}
    own |= {name.id for name in ast.walk(plain) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    numbered = _Numbered(own).visit(copy.deepcopy(plain))
    numbered.name = "_"
    numbered.decorator_list = []
    return [line.strip() for line in ast.unparse(numbered).split("\n")]


class _Numbered(ast.NodeTransformer):
    def __init__(self, own: set[str]) -> None:
        self.own = own
        self.numbers: dict[str, str] = {}

    def _number(self, name: str) -> str:
        return self.numbers.setdefault(name, f"v{len(self.numbers)}") if name in self.own else name

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._number(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self._number(node.arg)
        node.annotation = None
        return node
