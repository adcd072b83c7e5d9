"""What the methods of a class do with `self` and `super()`."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from .syntax import tuple_size


@dataclass(frozen=True)
class SelfUse:
    """One `self.name`, and the method that it stands in."""

    name: str
    method: str
    node: ast.Attribute
    call: ast.Call | None = None
    unpacked: int | None = None
    """How many values a caller takes apart."""


@dataclass
class SelfUses:
    """Everything that the methods of a class do with `self` and `super()`."""

    reads: list[SelfUse] = field(default_factory=list)
    writes: list[SelfUse] = field(default_factory=list)
    supers: list[SelfUse] = field(default_factory=list)

    @classmethod
    def of(cls, methods: Iterable[ast.FunctionDef | ast.AsyncFunctionDef]) -> "SelfUses":
        found = cls()
        for method in methods:
            found.add(method)
        return found

    def add(self, method: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        first = next(iter([*method.args.posonlyargs, *method.args.args]), None)
        if first is None:
            return
        calls: dict[int, ast.Call] = {}
        unpacked: dict[int, int] = {}
        attributes: list[ast.Attribute] = []
        for node in ast.walk(method):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.targets) == 1:
                if (count := tuple_size(node.targets[0])) is not None:
                    unpacked[id(node.value)] = count
            elif isinstance(node, ast.Attribute):
                attributes.append(node)
            if isinstance(node, ast.Call):
                calls[id(node.func)] = node
        for node in attributes:
            self._sort(node, first.arg, method.name, calls.get(id(node)), unpacked)

    def _sort(
        self, node: ast.Attribute, self_name: str, method: str, call: ast.Call | None, unpacked: dict[int, int]
    ) -> None:
        use = SelfUse(node.attr, method, node, call, unpacked.get(id(call)) if call else None)
        base = node.value
        if isinstance(base, ast.Name) and base.id == self_name:
            (self.reads if isinstance(node.ctx, ast.Load) else self.writes).append(use)
        elif isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super":
            self.supers.append(use)
