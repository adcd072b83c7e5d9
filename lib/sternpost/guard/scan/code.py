"""One module as names and definitions: what it binds at top level, its classes and functions. Read with `ast` alone."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from .signature import Signature, result_shapes
from .syntax import last_name, strings, tuple_size

MAX_DEPTH = 30
"""Blocks inside blocks that are followed at the top level of a module or class."""


@dataclass(eq=False)
class Import:
    """`from path import name` or `import path`; `runtime` is false under `if TYPE_CHECKING`."""

    name: str
    path: str
    line: int
    runtime: bool = True


@dataclass(eq=False)
class Value:
    """A name that is assigned, or a field that is annotated."""

    name: str
    module: "Module"
    line: int
    node: ast.expr | None = None
    annotation: ast.expr | None = None
    owner: "Class | None" = None

    @property
    def path(self) -> str:
        return f"{self.owner.path if self.owner else self.module.path}.{self.name}"


@dataclass(eq=False)
class Function:
    """A function or method."""

    name: str
    module: "Module"
    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: "Class | None" = None

    @property
    def line(self) -> int:
        return self.node.lineno

    @property
    def path(self) -> str:
        return f"{self.owner.path if self.owner else self.module.path}.{self.name}"

    @cached_property
    def decorators(self) -> frozenset[str]:
        return frozenset(last_name(d.func if isinstance(d, ast.Call) else d) for d in self.node.decorator_list)

    @property
    def is_property(self) -> bool:
        return bool(self.decorators & {"property", "cached_property", "setter"})

    @cached_property
    def signature(self) -> Signature:
        """What a caller passes: without `self` or `cls` for a method."""
        return Signature.of(self.node, bound=self.owner is not None and "staticmethod" not in self.decorators)

    @cached_property
    def results(self) -> frozenset[str]:
        """The shapes of what it returns: `2-tuple`, `dict`, ...; `?` where that cannot be told."""
        return result_shapes(self.node)


@dataclass(eq=False)
class Class:
    """A class: its bases as expressions, and what its body binds."""

    name: str
    module: "Module"
    node: ast.ClassDef
    owner: "Class | None" = None

    @property
    def line(self) -> int:
        return self.node.lineno

    @property
    def path(self) -> str:
        return f"{self.owner.path if self.owner else self.module.path}.{self.name}"

    @cached_property
    def members(self) -> dict[str, "Definition"]:
        found: dict[str, Definition] = {}
        for definition in _definitions(self.node.body, self.module, self, True, 0):
            found[definition.name] = definition
        return found

    @cached_property
    def is_dataclass(self) -> bool:
        names = {last_name(d.func if isinstance(d, ast.Call) else d) for d in self.node.decorator_list}
        return "dataclass" in names or any(last_name(base) in ("NamedTuple", "BaseModel") for base in self.node.bases)

    @cached_property
    def uses(self) -> "SelfUses":
        return SelfUses.of(self)

    def fields(self) -> Iterator[Value]:
        """The fields that its own body declares, if it is a dataclass."""
        for member in self.members.values() if self.is_dataclass else ():
            if isinstance(member, Value) and member.annotation is not None:
                if "ClassVar" not in ast.unparse(member.annotation):
                    yield member


Definition = Import | Value | Function | Class


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
    def of(cls, class_: Class) -> "SelfUses":
        found = cls()
        for member in class_.members.values():
            if isinstance(member, Function) and "staticmethod" not in member.decorators:
                found.add(member)
        return found

    def add(self, method: Function) -> None:
        arguments = method.node.args
        first = next(iter([*arguments.posonlyargs, *arguments.args]), None)
        if first is None:
            return
        calls: dict[int, ast.Call] = {}
        unpacked: dict[int, int] = {}
        attributes: list[ast.Attribute] = []
        for node in ast.walk(method.node):
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


@dataclass(eq=False)
class Module:
    """A parsed module."""

    path: str
    file: str
    tree: ast.Module
    text: str
    is_package: bool

    @cached_property
    def bindings(self) -> dict[str, list[Definition]]:
        """Each name of the top level with every definition that it may have, in order."""
        found: dict[str, list[Definition]] = {}
        for definition in _definitions(self.tree.body, self, None, True, 0):
            found.setdefault(definition.name, []).append(definition)
        return found

    @cached_property
    def stars(self) -> list[str]:
        return [d.path for d in self.bindings.get("*", ()) if isinstance(d, Import)]

    @cached_property
    def lazy(self) -> dict[str, list[str]]:
        """Where a module with lazy exports takes each name from, by its literal tables."""
        if not ({"_import_structure", "__getattr__"} & self.bindings.keys()) and "_LazyModule" not in self.text:
            return {}
        found: dict[str, list[str]] = {}
        for node in ast.walk(self.tree):
            for name, source in _table_entries(node):
                source = source.replace(":", ".").lstrip(".")
                last = source.rpartition(".")[2]
                for base in (f"{self.path}.{source}", source):
                    found.setdefault(name, []).extend((f"{base}.{name}", *([base] if last == name else [])))
        return found

    @cached_property
    def is_lazy(self) -> bool:
        return bool(self.lazy) or "__getattr__" in self.bindings

    def absolute(self, module: str | None, level: int) -> str:
        """The dotted path that a relative import means."""
        if not level:
            return module or ""
        parts = self.path.split(".")
        parts = parts[: len(parts) - level + (1 if self.is_package else 0)]
        return ".".join([*parts, *([module] if module else [])])


def _definitions(
    body: Iterable[ast.stmt], module: Module, owner: Class | None, runtime: bool, depth: int
) -> Iterator[Definition]:
    """What statements bind, those inside blocks included."""
    if depth > MAX_DEPTH:
        return
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node, module, runtime)
        elif isinstance(node, ast.ClassDef):
            yield Class(node.name, module, node, owner)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(node.name, module, node, owner)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for name in _names(target):
                    value = node.value if isinstance(target, ast.Name) else None
                    yield Value(name, module, node.lineno, value, None, owner)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield Value(node.target.id, module, node.lineno, node.value, node.annotation, owner)
        elif isinstance(node, ast.If):
            checking = last_name(node.test) == "TYPE_CHECKING"
            yield from _definitions(node.body, module, owner, runtime and not checking, depth + 1)
            yield from _definitions(node.orelse, module, owner, runtime, depth + 1)
        elif isinstance(node, ast.Try | ast.TryStar):
            handled = [statement for handler in node.handlers for statement in handler.body]
            for block in (node.body, node.orelse, handled, node.finalbody):
                yield from _definitions(block, module, owner, runtime, depth + 1)
        elif isinstance(node, ast.With | ast.For | ast.While):
            yield from _definitions(node.body, module, owner, runtime, depth + 1)


def imports(node: ast.Import | ast.ImportFrom, module: Module, runtime: bool = True) -> Iterator[Import]:
    """The names that an import binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            path = alias.name if alias.asname else alias.name.partition(".")[0]
            yield Import(alias.asname or path, path, node.lineno, runtime)
    else:
        source = module.absolute(node.module, node.level)
        for alias in node.names:
            path = source if alias.name == "*" else f"{source}.{alias.name}"
            yield Import(alias.asname or alias.name, path, node.lineno, runtime)


def _names(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            yield node.id


def _table_entries(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Name and module of a table of lazy exports: a dictionary, or `table["module"].append("name")`."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield key.value, value.value
                elif isinstance(value, ast.List | ast.Tuple):
                    yield from ((name, key.value) for name in strings(value))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr in ("append", "extend") and isinstance(node.func.value, ast.Subscript):
            key = node.func.value.slice
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield from ((name, key.value) for name in strings(node.args[0]))
