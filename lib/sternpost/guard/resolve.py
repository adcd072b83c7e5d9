"""Names to definitions: imports, re-exports, lazy exports and wildcards are followed, inside one package."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import griffe

from .sources import Tree

Definition = griffe.Module | griffe.Class | griffe.Function | griffe.Attribute


@dataclass(frozen=True)
class External:
    """A name from another package, or one that cannot be found in this one."""

    path: str


class Resolver:
    """Finds definitions in one tree. Cycles of imports end as `External`; every answer is computed once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._known: dict[tuple[str, str], Definition | External | None] = {}
        self._tables: dict[str, dict[str, list[str]]] = {}
        self.texts: dict[tuple[str, str, str], str | None] = {}
        """Types and values as text, by what is asked, scope and source."""
        self.conditions: dict[tuple[str, str], str] = {}
        """(module, name) -> the test under which a lazy export is there at all."""
        self.memo: dict[tuple[str, str], object] = {}
        """What others have found out about definitions, by their own names for it."""

    def find(self, path: str) -> Definition | External:
        """The definition behind a dotted path."""
        if path == self.tree.name:
            return self.tree.module(path) or External(path)
        module_path = path.rpartition(".")[0]
        while module_path and not self.tree.has(module_path):
            module_path = module_path.rpartition(".")[0]
        module = self.tree.module(module_path) if module_path else None
        return External(path) if module is None else self._descend(module, path[len(module_path) + 1 :].split("."))

    def lookup(self, name: str, scope: griffe.Object) -> Definition | External | None:
        """What a plain or dotted name means in a class or module; None if it is not defined there (a builtin, say)."""
        first, _, rest = name.partition(".")
        if isinstance(scope, griffe.Class) and first in scope.members:
            found: Definition | External | None = self._follow(scope.members[first])
        else:
            found = self.member(scope if isinstance(scope, griffe.Module) else scope.module, first)
        if not rest or found is None:
            return found
        return (
            External(f"{found.path}.{rest}") if isinstance(found, External) else self._descend(found, rest.split("."))
        )

    def member(self, module: griffe.Module, name: str) -> Definition | External | None:
        """What `from module import name` gives; None if nothing."""
        key = (module.path, name)
        if key not in self._known:
            self._known[key] = External(f"{module.path}.{name}")  # what a cycle finds, and what too long a chain does
            with suppress(RecursionError):
                self._known[key] = self._member(module, name)
        return self._known[key]

    def _member(self, module: griffe.Module, name: str) -> Definition | External | None:
        if name in module.members:
            return self._follow(module.members[name])
        if (submodule := self.tree.module(f"{module.path}.{name}")) is not None:
            return submodule
        for source in wildcards(module):
            other = self.tree.module(source)
            if other is None or (name.startswith("_") and name not in (other.exports or ())):
                continue
            found = self.member(other, name)
            if found is not None and not isinstance(found, External):
                return found
        for target in self.lazy(module).get(name, ()):
            found = self.find(target)
            if not isinstance(found, External):
                return found
        return None

    def lazy(self, module: griffe.Module) -> dict[str, list[str]]:
        """Where a module with lazy exports may take each name from: read from its literal tables.

        Both common forms are understood: `{"name": "module"}` (for a PEP 562 `__getattr__`), `{"module": ["names"]}`.
        """
        if module.path not in self._tables:
            self._tables[module.path], conditions = _lazy_targets(module, self.tree)
            self.conditions |= {(module.path, name): test for name, test in conditions.items()}
        return self._tables[module.path]

    def _descend(self, scope: Definition, names: list[str]) -> Definition | External:
        here: Definition | External | None = scope
        for name in names:
            if isinstance(here, griffe.Module):
                here = self.member(here, name)
            elif isinstance(here, griffe.Class) and name in here.members:
                here = self._follow(here.members[name])
            else:
                here = None
            if here is None or isinstance(here, External):
                return here or External(f"{scope.path}.{'.'.join(names)}")
        return here or External(scope.path)

    def _follow(self, thing: griffe.Object | griffe.Alias) -> Definition | External:
        """Through an import or an assignment of one name to another (`old = new`) to the definition."""
        if isinstance(thing, griffe.Alias):
            return self.find(thing.target_path)
        if isinstance(thing, griffe.Attribute) and isinstance(thing.value, griffe.ExprName | griffe.ExprAttribute):
            if thing.parent is not None and str(thing.value) != thing.name:
                target = self.lookup(str(thing.value), thing.parent)
                if isinstance(target, griffe.Class | griffe.Function):
                    return target
        return thing if isinstance(thing, Definition) else External(thing.path)


def wildcards(module: griffe.Module) -> Iterator[str]:
    """The modules that a module imports everything from."""
    for name, thing in module.members.items():
        if name.endswith("/*") and isinstance(thing, griffe.Alias):
            yield thing.target_path


def _lazy_targets(module: griffe.Module, tree: Tree) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The table of lazy exports, and the test of each name that is only entered under one."""
    found: dict[str, list[str]] = {}
    tables: list[tuple[str, str]] = []
    conditions: dict[str, str] = {}
    lazy = "__getattr__" in module.members or "_import_structure" in module.members
    for thing in module.members.values() if lazy else ():
        if isinstance(thing, griffe.Attribute) and isinstance(thing.value, griffe.ExprDict):
            tables += _table(str(thing.value))
    if "_import_structure" in module.members and (syntax := tree.syntax(module.path)) is not None:
        for name, source, test in _additions(syntax.body, ""):
            tables.append((name, source))
            conditions |= {name: test} if test else {}
    for name, source in tables:
        source = source.replace(":", ".").lstrip(".")
        bases = (f"{module.path}.{source}", source)
        found.setdefault(name, []).extend(path for base in bases for path in (f"{base}.{name}", base))
    return found, conditions


def _additions(body: list[ast.stmt], test: str) -> Iterator[tuple[str, str, str]]:
    """Name, module and test of what a table of lazy exports gets later on:

    `table["module"].append("Name")`, `.extend([...])`, `+= [...]`, `table["module"] = [...]`, `table.update({...})`.
    """
    for node in body:
        pairs: Iterator[tuple[str, str]] = iter(())
        if isinstance(node, ast.If):
            yield from _additions(node.body, ast.unparse(node.test))
            yield from _additions(node.orelse, _opposite(node.test))
        elif isinstance(node, ast.Try):
            first = node.body[0]
            tried = _opposite(first.test) if isinstance(first, ast.If) else ast.unparse(first)
            for part in (node.body, node.orelse, node.finalbody):
                yield from _additions(part, tried)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function, arguments = node.value.func, node.value.args
            if isinstance(function, ast.Attribute) and len(arguments) == 1:
                if function.attr == "update":
                    pairs = _table(ast.unparse(arguments[0]))
                elif function.attr in ("append", "extend"):
                    pairs = _names_of(function.value, arguments[0])
        elif isinstance(node, ast.Assign | ast.AugAssign) and node.value is not None:
            pairs = _names_of(node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value)
        yield from ((name, source, test) for name, source in pairs)


def _opposite(test: ast.expr) -> str:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return ast.unparse(test.operand)
    return f"not ({ast.unparse(test)})"


def _names_of(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        for item in value.elts if isinstance(value, ast.List | ast.Tuple) else [value]:
            if isinstance(item, ast.Constant) and isinstance(item.value, str):
                yield item.value, str(target.slice.value)


def _table(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of name and module of a literal dictionary."""
    try:
        table = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return
    for key, value in table.items():
        if isinstance(key, str) and isinstance(value, str):
            yield key, value
        elif isinstance(key, str) and isinstance(value, list | tuple):
            yield from ((name, key) for name in value if isinstance(name, str))
