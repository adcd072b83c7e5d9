"""What names mean inside functions: references, instances, dictionaries with constant keys, texts."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .code import Class, Function, Import, Module, Value
from .codebase import Codebase, External
from .syntax import last_name

MAX_DEPTH = 40
MAX_HELD = 4
"""Attributes of attributes that are followed."""


@dataclass(frozen=True)
class Ref:
    """The thing at a dotted path, of the project or of a package."""

    path: str


@dataclass(frozen=True)
class Inst:
    """An instance of the class at a path."""

    path: str


@dataclass(frozen=True)
class Items:
    """A container of instances of the class at a path."""

    path: str


@dataclass(frozen=True)
class Text:
    """A string."""

    value: str


@dataclass
class Keys:
    """A dictionary: its constant keys with the places that set them; `open` if it may hold others."""

    keys: dict[str, ast.AST] = field(default_factory=dict)
    open: bool = False


@dataclass(frozen=True)
class SelfOf:
    """`self` or `cls` in a method of the class at a path."""

    path: str


@dataclass(frozen=True)
class Held:
    """What an attribute of `self`, or of an instance of the class at a path, holds; through the attributes named."""

    path: str
    names: tuple[str, ...]
    own: bool


@dataclass(frozen=True)
class Unknown:
    """A local name of which nothing is known: it hides what the module calls so."""


Meaning = Ref | Inst | Items | Text | Keys | SelfOf | Held | Unknown
UNKNOWN = Unknown()


class Scopes:
    """The scopes around a place in one module; the innermost is the last."""

    def __init__(self, module: Module, codebase: Codebase, package: str) -> None:
        self.module = module
        self.codebase = codebase
        self.package = package
        self.stack: list[dict[str, Meaning]] = [{}]
        self.values: list[dict[str, ast.expr]] = [{}]

    def is_package(self, path: str) -> bool:
        return path == self.package or path.startswith(f"{self.package}.")

    def bind(self, name: str, meaning: Meaning | None, value: ast.expr | None = None) -> None:
        self.stack[-1][name] = meaning if meaning is not None else UNKNOWN
        if value is not None:
            self.values[-1][name] = value

    def assigned(self, name: str) -> ast.expr | None:
        """The expression that a name was assigned, here or at the top level of a module that it is imported from."""
        for values in reversed(self.values):
            if name in values:
                return values[name]
        definitions = self.module.bindings.get(name, [])
        if any(isinstance(d, Import) and not self.codebase.is_relevant(d.path) for d in definitions):
            return None
        for entity in self.codebase.member(self.module, name) if definitions else ():
            if isinstance(entity, Value) and entity.node is not None:
                return entity.node
            if isinstance(entity, Function):
                returned = [n.value for n in ast.walk(entity.node) if isinstance(n, ast.Return)]
                return returned[0] if len(returned) == 1 else None
        return None

    def name(self, name: str) -> Meaning | None:
        for scope in reversed(self.stack):
            if name in scope:
                return scope[name]
        if name in self.module.bindings:
            return self._global(name)
        for star in self.module.stars:
            if self.is_package(star):
                return Ref(f"{star}.{name}")
        if self.module.stars and (found := self.codebase.member(self.module, name)):
            return self._entity(found[0])
        return None

    def _global(self, name: str) -> Meaning | None:
        definitions = self.module.bindings[name]
        for definition in definitions:  # an import of the package wins over what replaces it when that fails
            if isinstance(definition, Import) and self.is_package(definition.path):
                return Ref(definition.path)
        definition = definitions[0]
        if isinstance(definition, Import):
            return self.canonical(definition.path)
        if isinstance(definition, Class | Function):
            return Ref(definition.path)
        return self._value(definition)

    def _value(self, value: Value) -> Meaning | None:
        if isinstance(value.node, ast.Constant) and isinstance(value.node.value, str):
            return Text(value.node.value)
        if value.node is not None and value.module is self.module and len(self.stack) < MAX_DEPTH:
            if any(isinstance(n, ast.Name) and n.id == value.name for n in ast.walk(value.node)):
                return None
            self.stack.append({value.name: UNKNOWN})
            try:
                return self.evaluate(value.node)
            finally:
                self.stack.pop()
        return None

    def canonical(self, path: str) -> Meaning | None:
        """A dotted path followed through the project's own imports."""
        if path.partition(".")[0] not in self.codebase.tops or not self.codebase.is_relevant(path):
            return Ref(path)
        found = self.codebase.find(path)
        outside = [e for e in found if isinstance(e, External) and self.is_package(e.path)]
        return self._entity((outside or found)[0]) if found else None

    def _entity(self, entity: object) -> Meaning | None:
        if isinstance(entity, External | Class | Function | Module):
            return Ref(entity.path)
        if isinstance(entity, Value) and isinstance(entity.node, ast.Constant) and isinstance(entity.node.value, str):
            return Text(entity.node.value)
        return None

    # ---- Expressions

    def evaluate(self, node: ast.AST | None, depth: int = 0) -> Meaning | None:
        """What an expression means; None where that cannot be told."""
        if node is None or depth > MAX_DEPTH:
            return None
        if isinstance(node, ast.Name):
            found = self.name(node.id)
            return None if isinstance(found, Unknown) else found
        if isinstance(node, ast.Attribute):
            return self._attribute(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.Constant):
            return Text(node.value) if isinstance(node.value, str) else None
        if isinstance(node, ast.IfExp):
            return self._first((node.body, node.orelse), depth)
        if isinstance(node, ast.BoolOp):
            return self._first(node.values, depth)
        if isinstance(node, ast.Dict):
            return self._dict(node, depth)
        if isinstance(node, ast.NamedExpr | ast.Await):
            return self.evaluate(node.value, depth + 1)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.evaluate(node.left, depth + 1), self.evaluate(node.right, depth + 1)
            return Text(left.value + right.value) if isinstance(left, Text) and isinstance(right, Text) else None
        if isinstance(node, ast.Subscript) and last_name(node.value) in ("type", "Type"):
            return None
        return None

    def _first(self, nodes: Iterable[ast.expr], depth: int) -> Meaning | None:
        """What the first of several means that says something; of attributes only the package knows what they hold."""
        found = [meant for node in nodes if (meant := self.evaluate(node, depth + 1)) is not None]
        return next((meant for meant in found if not isinstance(meant, Held)), found[0] if found else None)

    def _attribute(self, node: ast.Attribute, depth: int) -> Meaning | None:
        base = self.evaluate(node.value, depth + 1)
        if isinstance(base, Ref):
            return (
                self.canonical(f"{base.path}.{node.attr}")
                if not self.is_package(base.path)
                else Ref(f"{base.path}.{node.attr}")
            )
        if isinstance(base, SelfOf):
            return self.stack[0].get(f"{base.path}.{node.attr}") or Held(base.path, (node.attr,), True)
        if isinstance(base, Inst):
            return Held(base.path, (node.attr,), False)
        if isinstance(base, Held) and len(base.names) < MAX_HELD:
            return Held(base.path, (*base.names, node.attr), base.own)
        return None

    def _call(self, node: ast.Call, depth: int) -> Meaning | None:
        name = last_name(node.func)
        if isinstance(node.func, ast.Name) and name == "dict":
            return self._keywords(node, depth)
        if name == "type" and len(node.args) == 1 and isinstance(made := self.evaluate(node.args[0], depth + 1), Inst):
            return Ref(made.path)
        if name in ("import_module", "__import__") and node.args:
            text = self.evaluate(node.args[0], depth + 1)
            return Ref(text.value) if isinstance(text, Text) and self.is_package(text.value) else None
        if name == "getattr" and isinstance(node.func, ast.Name) and len(node.args) >= 2:
            base, text = self.evaluate(node.args[0], depth + 1), self.evaluate(node.args[1], depth + 1)
            return Ref(f"{base.path}.{text.value}") if isinstance(base, Ref) and isinstance(text, Text) else None
        if name in ("copy", "deepcopy"):
            source = node.func.value if isinstance(node.func, ast.Attribute) and not node.args else None
            return self.evaluate(source or (node.args[0] if node.args else None), depth + 1)
        callee = self.evaluate(node.func, depth + 1)
        if not isinstance(callee, Ref):
            return None
        if self.is_package(callee.path):
            return Inst(callee.path) if callee.path.rpartition(".")[2][:1].isupper() else None
        inside = callee.path.partition(".")[0] in self.codebase.tops and self.codebase.is_relevant(callee.path)
        for entity in self.codebase.find(callee.path) if inside else ():
            if isinstance(entity, Class):
                return Inst(entity.path)
            if isinstance(entity, Function):
                return self._result(entity, depth)
        return None

    def _result(self, function: Function, depth: int) -> Meaning | None:
        """A dictionary with constant keys, if a function of the project builds and returns one."""
        if depth > 6:
            return None
        memo = self.codebase.memo
        if function.path not in memo:
            memo[function.path] = self._built(function)
        known = memo[function.path]
        return Keys(dict(known.keys), known.open) if isinstance(known, Keys) else None

    def _built(self, function: Function) -> Keys | None:
        returned = {last_name(n.value) for n in ast.walk(function.node) if isinstance(n, ast.Return) and n.value}
        keys = Keys(open=True)
        for node in ast.walk(function.node):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
                keys.keys |= constant_keys(node.value)
            for name, key, place in stores(node):
                if name in returned:
                    keys.keys[key] = place
        return keys if keys.keys else None

    def _dict(self, node: ast.Dict, depth: int) -> Keys:
        made = Keys(constant_keys(node))
        for key, value in zip(node.keys, node.values):
            if key is None:
                self.merge(made, self.evaluate(value, depth + 1))
            elif not isinstance(key, ast.Constant):
                made.open = True
        return made

    def _keywords(self, node: ast.Call, depth: int) -> Keys:
        made = Keys({k.arg: k for k in node.keywords if k.arg})
        for argument in node.args:
            self.merge(made, self.evaluate(argument, depth + 1))
        for keyword in node.keywords:
            if keyword.arg is None:
                self.merge(made, self.evaluate(keyword.value, depth + 1))
        return made

    def merge(self, keys: Keys, other: Meaning | None) -> None:
        """What `keys.update(other)` does."""
        if isinstance(other, Keys):
            keys.keys |= other.keys
            keys.open |= other.open
        else:
            keys.open = True


def constant_keys(node: ast.Dict) -> dict[str, ast.AST]:
    return {key.value: key for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def stores(node: ast.AST) -> Iterator[tuple[str, str, ast.AST]]:
    """Name, key and place of what puts a constant key into a named dictionary."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                if isinstance(target.slice.value, str):
                    yield last_name(target.value), target.slice.value, target
            elif isinstance(target, ast.Name | ast.Attribute) and isinstance(node.value, ast.Dict):
                yield from ((last_name(target), key, place) for key, place in constant_keys(node.value).items())
            elif isinstance(target, ast.Name) and isinstance(node.value, ast.Call):
                if last_name(node.value.func) == "dict":
                    yield from ((target.id, k.arg, k.value) for k in node.value.keywords if k.arg)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = last_name(node.func.value)
        if node.func.attr == "update":
            yield from ((name, k.arg, k.value) for k in node.keywords if k.arg)
            for argument in node.args:
                if isinstance(argument, ast.Dict):
                    yield from ((name, key, place) for key, place in constant_keys(argument).items())
        elif node.func.attr == "setdefault" and node.args and isinstance(node.args[0], ast.Constant):
            if isinstance(node.args[0].value, str):
                yield name, node.args[0].value, node.args[0]
