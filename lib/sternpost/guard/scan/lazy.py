"""What a module gives for names that it does not bind: tables of lazy exports, `__getattr__`, names made in a loop."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from .syntax import dotted, last_name, strings

_Statement = ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr


@dataclass
class Lazy:
    """`tables`: where each name is taken from. `listed`: names that are spelled out anywhere in what answers for names.

    `open`: it may answer for any name.
    """

    tables: dict[str, list[str]] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    open: bool = False


def lazy_names(tree: ast.Module, path: str) -> Lazy:
    """What the module at a path answers for without binding it."""
    found = Lazy(open=any(makes_names(node) for node in running(tree.body)))
    getters = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "__getattr__"]
    statements: list[ast.stmt] = [node for node in running(tree.body) if isinstance(node, _Statement)]
    asked: list[ast.AST] = [*getters, *(node for node in statements if _answers(node))]
    asked = _reached(asked, statements, [n for n in tree.body if isinstance(n, ast.FunctionDef)])
    for node in asked:
        for inner in ast.walk(node):
            for name, source in _entries(inner):
                source = source.replace(":", ".").lstrip(".")
                last = source.rpartition(".")[2]
                for base in (f"{path}.{source}", source):
                    found.tables.setdefault(name, []).extend((f"{base}.{name}", *([base] if last == name else [])))
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.isidentifier():
                found.listed.add(inner.value)
    found.open |= any(_may_answer(getter) for getter in getters)
    found.open |= any(_binds(node, "__getattr__") and not _is_attached(node) for node in statements)
    found.open |= any(isinstance(n, ast.ImportFrom) and _imports(n, "__getattr__") for n in running(tree.body))
    return found


def stand_in(tree: ast.Module) -> ast.expr | None:
    """What takes the module's own place: `sys.modules[__name__] = x`; not a module that is only lazy."""
    for node in running(tree.body):
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Subscript) and dotted(target.value) == "sys.modules":
            if last_name(target.slice) == "__name__" and isinstance(node, ast.Assign):
                return None if _is_lazy_call(node.value) else node.value
    return None


def running(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported, those inside blocks included."""
    ahead = list(body)
    while ahead:
        node = ahead.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for block in ("body", "orelse", "finalbody"):
                ahead += getattr(node, block, [])
            ahead += [statement for handler in getattr(node, "handlers", []) for statement in handler.body]


def makes_names(node: ast.stmt) -> bool:
    """`globals()[n] = x`, `globals().update(x)`, `setattr(sys.modules[__name__], n, x)`."""
    if isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(target, ast.Subscript) and _is_namespace(target.value) for target in targets)
    call = node.value if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
        return call.func.attr in ("update", "setdefault") and _is_namespace(call.func.value)
    if isinstance(call, ast.Call) and last_name(call.func) == "setattr" and call.args:
        first = call.args[0]
        return isinstance(first, ast.Subscript) and dotted(first.value) == "sys.modules"
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "exec"


def _is_namespace(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) in ("globals", "vars", "locals") and not node.args


def _is_lazy_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and "lazy" in last_name(node.func).lower()


def _binds(node: ast.stmt, name: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if hasattr(node, "target") else []
    return any(last_name(inner) == name for target in targets for inner in ast.walk(target))


def _imports(node: ast.ImportFrom, name: str) -> bool:
    return any((alias.asname or alias.name) == name for alias in node.names)


def _answers(node: ast.stmt) -> bool:
    """Whether a statement says what the module gives: by a `__getattr__` that is made, or a lazy module."""
    if _binds(node, "__getattr__") or _binds(node, "_import_structure"):
        return True
    return any(_is_lazy_call(inner) for inner in ast.walk(node) if isinstance(inner, ast.Call))


def _is_attached(node: ast.stmt) -> bool:
    """`__getattr__, __dir__, __all__ = lazy.attach(...)`: it has what it is told and nothing else."""
    value = getattr(node, "value", None)
    return isinstance(value, ast.Call) and last_name(value.func).lstrip("_").startswith("attach")


def _reached(asked: list[ast.AST], statements: list[ast.stmt], functions: list[ast.FunctionDef]) -> list[ast.AST]:
    """What answers for names, and all that it reads of the module: tables, and functions with theirs."""
    known = {"_import_structure"}
    found: list[ast.AST] = []
    ahead = asked
    while ahead:
        found += ahead
        fresh = {n.id for node in ahead for n in ast.walk(node) if isinstance(n, ast.Name)} - known
        known |= fresh
        ahead = [f for f in functions if f.name in fresh and f not in found]
        ahead += [node for node in statements if node not in found and _about(node) & known]
    return found


def _about(node: ast.stmt) -> set[str]:
    """The names that a statement assigns or adds to: `t = {}`, `t[k] = v`, `t[k].append(v)`, `t.update(v)`."""
    value = getattr(node, "value", None)
    parts: list[ast.AST] = list(node.targets) if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
    if isinstance(node, ast.Expr):
        parts = [value.func] if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) else []
    names: set[str] = set()
    for part in parts:
        while isinstance(part, ast.Attribute | ast.Subscript):
            part = part.value
        names |= {inner.id for inner in ast.walk(part) if isinstance(inner, ast.Name)}
    return names


def _entries(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Name and module of a table of lazy exports: a dictionary, `t["module"] = [...]`, `t["module"].append("name")`."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield from _entry(key.value, value)
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        key = node.targets[0].slice
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield from _entry(key.value, node.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr in ("append", "extend") and isinstance(node.func.value, ast.Subscript):
            key = node.func.value.slice
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield from ((name, key.value) for name in strings(node.args[0]))


def _entry(key: str, value: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield key, value.value
    elif isinstance(value, ast.List | ast.Tuple):
        yield from ((name, key) for name in strings(value))


# ---- What a `__getattr__` does with a name that stands in none of its tables


def _may_answer(getter: ast.FunctionDef) -> bool:
    """Whether it returns something for a name that is spelled out nowhere."""
    arguments = [*getter.args.posonlyargs, *getter.args.args]
    return not arguments or _Unlisted(arguments[0].arg).ends(getter.body) != {"raises"}


class _Unlisted:
    """Follows a name that is in no table through the statements of a `__getattr__`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nothing: set[str] = set()
        """Variables that hold what a table has for the name: nothing."""

    def ends(self, body: list[ast.stmt]) -> set[str]:
        """How statements may end: they return, raise, or go on."""
        found: set[str] = set()
        for node in body:
            ends = self._end(node)
            found |= ends - {"goes on"}
            if "goes on" not in ends:
                return found
        return found | {"goes on"}

    def _end(self, node: ast.stmt) -> set[str]:
        if isinstance(node, ast.Raise):
            return {"raises"}
        if isinstance(node, ast.If):
            holds = self._holds(node.test)
            ends = self.ends(node.body) if holds is not False else set()
            return ends | (self.ends(node.orelse) if holds is not True else set())
        if isinstance(node, ast.Try):
            ends = self.ends(node.body + node.orelse)
            for handler in node.handlers if "raises" in ends else ():
                ends |= self.ends(handler.body)
            return ends
        if isinstance(node, ast.With | ast.For | ast.While):
            return self.ends(node.body) | {"goes on"}
        if any(self._is_lookup(inner) for inner in ast.walk(node)):
            return {"raises"}
        if isinstance(node, ast.Return):
            return {"returns"}
        if isinstance(node, ast.Assign) and self._gives_nothing(node.value):
            self.nothing |= {last_name(target) for target in node.targets}
        return {"goes on"}

    def _is_name(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == self.name

    def _is_lookup(self, node: ast.AST) -> bool:
        """`table[name]`, which raises."""
        return isinstance(node, ast.Subscript) and self._is_name(node.slice) and isinstance(node.value, ast.Name)

    def _gives_nothing(self, node: ast.expr) -> bool:
        """`table.get(name)`, or a variable that holds it."""
        if isinstance(node, ast.NamedExpr):
            if self._gives_nothing(node.value):
                self.nothing.add(node.target.id)
            return self._gives_nothing(node.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            default = node.args[1:] or [ast.Constant(None)]
            plain = isinstance(default[0], ast.Constant) and not default[0].value
            return bool(node.args) and self._is_name(node.args[0]) and plain
        return isinstance(node, ast.Name) and node.id in self.nothing

    def _holds(self, test: ast.expr) -> bool | None:
        """Whether a test holds for a name that is spelled out nowhere; None where that cannot be told."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            holds = self._holds(test.operand)
            return None if holds is None else not holds
        if isinstance(test, ast.BoolOp):
            told = [self._holds(value) for value in test.values]
            wins = isinstance(test.op, ast.Or)
            return wins if wins in told else None if None in told else not wins
        if self._gives_nothing(test):
            return False
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            return self._compares(test.left, test.ops[0], test.comparators[0])
        return None

    def _compares(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool | None:
        literal = (ast.Name, ast.Dict, ast.List, ast.Tuple, ast.Set)
        if isinstance(op, ast.In | ast.NotIn) and self._is_name(left) and isinstance(right, literal):
            return isinstance(op, ast.NotIn)
        if isinstance(op, ast.Eq | ast.NotEq) and (self._is_name(left) or self._is_name(right)):
            return isinstance(op, ast.NotEq)
        if isinstance(op, ast.Is | ast.IsNot) and self._gives_nothing(left):
            return isinstance(op, ast.Is)
        return None
