"""One module as names and definitions: what it binds at top level, its classes and functions. Read with `ast` alone."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from .lazy import Lazy, lazy_names, stand_in
from .self_uses import SelfUse as SelfUse
from .self_uses import SelfUses
from .signature import Signature, result_shapes
from .syntax import dotted, last_name

MAX_DEPTH = 30
"""Blocks inside blocks that are followed at the top level of a module or class."""
_ATTRS = {"s", "attrs", "attributes", "define", "frozen", "mutable", "dataclass"}
"""What attrs calls its decorators."""
_MAKES_NAMES = re.compile(r"__getattr__|_import_structure|_LazyModule|\b(?:globals|vars|locals)\(\)|setattr\(|\bexec\(")


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
    others: tuple["Function", ...] = ()
    """What the same name is in other branches, of which one is taken: for another platform, another library."""

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
        return {name: _widest(found) for name, found in _bound(self.node.body, self.module, self).items()}

    @cached_property
    def is_dataclass(self) -> bool:
        names = {last_name(d.func if isinstance(d, ast.Call) else d) for d in self.node.decorator_list}
        if "dataclass" in names or any(last_name(base) in ("NamedTuple", "BaseModel") for base in self.node.bases):
            return True
        return self.is_attrs

    @cached_property
    def is_attrs(self) -> bool:
        """Whether a decorator of attrs makes its constructor."""
        calls = (d.func if isinstance(d, ast.Call) else d for d in self.node.decorator_list)
        for parts in ((dotted(call) or "").split(".") for call in calls):
            imports = [d for d in self.module.bindings.get(parts[0], ()) if isinstance(d, Import)]
            if any(i.path.partition(".")[0] in ("attr", "attrs") for i in imports) and parts[-1] in _ATTRS:
                return True
        return False

    @cached_property
    def uses(self) -> SelfUses:
        methods = [member for member in self.members.values() if isinstance(member, Function)]
        return SelfUses.of([m.node for m in methods if "staticmethod" not in m.decorators])

    def fields(self) -> Iterator[Value]:
        """The fields that its own body declares, if it is a dataclass."""
        declared = {
            member.name: member
            for member, _ in (_definitions(self.node.body, self.module, self, True, ()) if self.is_dataclass else ())
            if isinstance(member, Value) and (member.annotation is not None or self._is_attribute(member.node))
        }
        for member in declared.values():
            if member.annotation is None or "ClassVar" not in ast.unparse(member.annotation):
                yield member

    def _is_attribute(self, node: ast.expr | None) -> bool:
        """Whether a value is a field of attrs, which needs no annotation."""
        return self.is_attrs and isinstance(node, ast.Call) and last_name(node.func) in ("ib", "attrib", "field")


Definition = Import | Value | Function | Class


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
        """Each name of the top level with every definition that it may have in the end, in order."""
        return _bound(self.tree.body, self, None)

    @cached_property
    def deleted(self) -> frozenset[str]:
        """Names that it deletes again, whatever else happens."""
        found: set[str] = set()
        for node in self.tree.body:
            if isinstance(node, ast.Delete):
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif found:
                found -= {definition.name for definition, _ in _definitions([node], self, None, True, ())}
        return frozenset(found)

    @cached_property
    def stars(self) -> list[str]:
        return [d.path for d in self.bindings.get("*", ()) if isinstance(d, Import)]

    @cached_property
    def answers(self) -> Lazy:
        """What it gives for names that it does not bind."""
        return lazy_names(self.tree, self.path) if _MAKES_NAMES.search(self.text) else Lazy()

    @property
    def lazy(self) -> dict[str, list[str]]:
        """Where a module with lazy exports takes each name from, by its literal tables."""
        return self.answers.tables

    @property
    def is_lazy(self) -> bool:
        return bool(self.lazy) or "__getattr__" in self.bindings

    @cached_property
    def stand_in(self) -> ast.expr | None:
        """What it puts in its own place when it is imported."""
        return stand_in(self.tree) if "sys.modules" in self.text else None

    def absolute(self, module: str | None, level: int) -> str:
        """The dotted path that a relative import means."""
        if not level:
            return module or ""
        parts = self.path.split(".")
        parts = parts[: len(parts) - level + (1 if self.is_package else 0)]
        return ".".join([*parts, *([module] if module else [])])


Branch = tuple[tuple[int, int], ...]
"""The blocks that a statement stands in, from the outside: which compound statement, and which of its blocks."""


def _bound(body: Iterable[ast.stmt], module: Module, owner: Class | None) -> dict[str, list[Definition]]:
    """Each name with what it may be once all statements have run: the last definition, and one of each branch."""
    found: dict[str, list[tuple[Definition, Branch]]] = {}
    for definition, branch in _definitions(body, module, owner, True, ()):
        before = found.setdefault(definition.name, [])
        if before and definition.name != "*" and not builds_on_itself(definition):
            before[:] = [(d, where) for d, where in before if not _replaces(definition, branch, d, where)]
        before.append((definition, branch))
    return {name: _alternatives([definition for definition, _ in ones]) for name, ones in found.items()}


def _replaces(definition: Definition, branch: Branch, before: Definition, where: Branch) -> bool:
    """Whether nothing is left of a definition after another one, which runs wherever it has run."""
    if any(isinstance(one, Import) and not one.runtime for one in (definition, before)):
        return False
    return where[: len(branch)] == branch and not (_is_overload(before) and _is_overload(definition))


def builds_on_itself(definition: Definition) -> bool:
    """Whether a definition reads the name that it binds: `f = wrap(f)`, `class A(A)`."""
    parts: list[ast.expr | None] = []
    if isinstance(definition, Value):
        parts = [definition.node]
    elif isinstance(definition, Class):
        parts = [*definition.node.bases, *definition.node.decorator_list]
    elif isinstance(definition, Function):
        parts = [*definition.node.decorator_list]
    nodes = (node for part in parts if part is not None for node in ast.walk(part))
    return any(isinstance(node, ast.Name) and node.id == definition.name for node in nodes)


def _is_overload(definition: Definition) -> bool:
    return isinstance(definition, Function) and "overload" in definition.decorators


def _alternatives(found: list[Definition]) -> list[Definition]:
    """Without the overloads of what is defined as well; functions know of each other."""
    if len(found) == 1:
        return found
    plain = [definition for definition in found if not _is_overload(definition)]
    found = plain or found
    functions = [definition for definition in found if isinstance(definition, Function)]
    for function in functions if len(functions) > 1 else ():
        function.others = tuple(other for other in functions if other is not function)
    return found


def _widest(found: list[Definition]) -> Definition:
    """The definition that counts: the last, or of functions in branches the one that takes most."""
    last = found[-1]
    if isinstance(last, Function) and last.others and not last.is_property:
        return widest([last, *last.others])
    return last


def widest(functions: list[Function]) -> Function:
    """The one that takes the most arguments."""
    return max(functions, key=lambda f: (f.signature.named, f.signature.more, len(f.signature.arguments)))


def _definitions(
    body: Iterable[ast.stmt], module: Module, owner: Class | None, runtime: bool, branch: Branch
) -> Iterator[tuple[Definition, Branch]]:
    """What statements bind, those inside blocks included, and in which branch."""
    if len(branch) > MAX_DEPTH:
        return
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((import_, branch) for import_ in imports(node, module, runtime))
        elif isinstance(node, ast.ClassDef):
            yield Class(node.name, module, node, owner), branch
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(node.name, module, node, owner), branch
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for name in _names(target):
                    value = node.value if isinstance(target, ast.Name) else None
                    yield Value(name, module, node.lineno, value, None, owner), branch
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield Value(node.target.id, module, node.lineno, node.value, node.annotation, owner), branch
        else:
            for number, (block, runs) in enumerate(_blocks(node)):
                yield from _definitions(block, module, owner, runtime and runs, (*branch, (node.lineno, number)))


def _blocks(node: ast.stmt) -> Iterator[tuple[list[ast.stmt], bool]]:
    """The blocks of a compound statement, and whether each may run outside type checkers."""
    if isinstance(node, ast.If):
        yield node.body, last_name(node.test) != "TYPE_CHECKING"
        yield node.orelse, True
    elif isinstance(node, ast.Try | ast.TryStar):
        for block in (node.body, node.orelse, *(handler.body for handler in node.handlers), node.finalbody):
            yield block, True
    elif isinstance(node, ast.With | ast.For | ast.While):
        yield node.body, True


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
    """The names that an assignment binds: neither `a` of `a.b = 1` nor that of `a[0] = 1`."""
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
