"""Defaults that `__post_init__` puts in place of the declared ones, where reading it can tell.

The method is walked with what the fields are when nobody sets any. A value is either known or not; a test that is not
known leaves what both of its branches agree on. Nothing is executed: expressions are computed over literals, by the
few operations that are listed here.
"""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Literal

import griffe

from .bodies import Bodies
from .resolve import Resolver
from .values import MAX_NUMBER, Folder, shorten

UNKNOWN = object()
"""Stands for a value that only running can tell."""

UNSURE = "?"
"""In a state: the method may have returned by now, so that what it sets from here on is not known."""

State = dict[str, Any]
"""Fields as `self.x`, local variables as `x`. What is missing is not known."""

MAX_CALLS = 20
"""Methods that are followed from one `__post_init__`."""

_TESTS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Is: lambda a, b: _is(a, b),
    ast.IsNot: lambda a, b: not _is(a, b),
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_CALLS: dict[str, Callable[..., Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "list": list,
    "tuple": tuple,
    "set": set,
    "dict": dict,
    "len": len,
    "min": min,
    "max": max,
    "abs": abs,
}
_TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "tuple": tuple, "dict": dict, "set": set}


End = Literal["", "returned", "raised"]
"""Whether a method goes on behind a statement."""


def settled(
    lineage: list[griffe.Class],
    declared: Mapping[str, str | None],
    foreign: Collection[str],
    resolver: Resolver,
    bodies: Bodies,
) -> dict[str, str]:
    """Field -> its default as text after `__post_init__`, for those that are known and differ from `declared`.

    `foreign` names the fields that bases elsewhere have: those may set them as they please.
    """
    before: State = {}
    for name, text in declared.items():
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            before[f"self.{name}"] = ast.literal_eval(text or "")
    after = dict(before)
    try:
        if _Walk(lineage, foreign, resolver, bodies).method("__post_init__", after, 0) == "raised":
            return {}
    except RecursionError:
        return {}
    found = {}
    for name in declared:
        old, new = before.get(f"self.{name}", UNKNOWN), after.get(f"self.{name}", UNKNOWN)
        if old is not UNKNOWN and new is not UNKNOWN and not _same(old, new):
            found[name] = shorten(repr(new))
    return found


class _Walk:
    """One walk from `__post_init__` of the first class of a lineage."""

    def __init__(
        self, lineage: list[griffe.Class], foreign: Collection[str], resolver: Resolver, bodies: Bodies
    ) -> None:
        self.lineage = lineage
        self.foreign = foreign
        self.resolver = resolver
        self.bodies = bodies
        self.calls = 0

    def method(self, name: str, state: State, start: int) -> End:
        """The method as the classes from number `start` on define it. Where no one here does, a base elsewhere may."""
        self.calls += 1
        for number, class_ in enumerate(self.lineage[start:], start=start):
            module = class_.module.path
            node = self.bodies.functions(module).get(f"{class_.path[len(module) + 1 :]}.{name}")
            if node is not None and self.calls <= MAX_CALLS:
                inner = {key: value for key, value in state.items() if key.startswith("self.")}
                end = self._block(node.body, inner, class_, number)
                state.clear()
                state.update({key: value for key, value in inner.items() if key.startswith("self.")})
                return "raised" if end == "raised" else ""
        for field in self.foreign:
            state.pop(f"self.{field}", None)
        return ""

    def _block(self, body: list[ast.stmt], state: State, class_: griffe.Class, number: int) -> End:
        for node in body:
            if end := self._statement(node, state, class_, number):
                return end
        return ""

    def _statement(self, node: ast.stmt, state: State, class_: griffe.Class, number: int) -> End:
        if isinstance(node, ast.Return | ast.Raise):
            return "returned" if isinstance(node, ast.Return) else "raised"
        if isinstance(node, ast.If):
            return self._if(node, state, class_, number)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            self._assign(node.targets if isinstance(node, ast.Assign) else [node.target], node.value, state, class_)
            return self._called(node.value, state, number)
        if isinstance(node, ast.Expr):
            return self._called(node.value, state, number)
        if not isinstance(node, ast.Pass | ast.Assert | ast.Import | ast.ImportFrom):
            self._forget(node, state, number)
        return ""

    def _if(self, node: ast.If, state: State, class_: griffe.Class, number: int) -> End:
        test = self._value(node.test, state, class_)
        if test is not UNKNOWN:
            return self._block(node.body if test else node.orelse, state, class_, number)
        branches = []
        for branch in (node.body, node.orelse):
            inner = dict(state)
            branches.append((self._block(branch, inner, class_, number), inner))
        states = [inner for end, inner in branches if end != "raised"]
        if not states:
            return "raised"
        agreed = {k: v for k, v in states[0].items() if all(k in other and _same(v, other[k]) for other in states)}
        state.clear()
        state.update(agreed | ({UNSURE: True} if any(end == "returned" for end, _ in branches) else {}))
        return ""

    def _assign(self, targets: list[ast.expr], value: ast.expr, state: State, class_: griffe.Class) -> None:
        found = self._value(value, state, class_)
        for target in targets:
            name = _name(target)
            if name and found is not UNKNOWN and UNSURE not in state:
                state[name] = found
            elif name:
                state.pop(name, None)
            else:
                self._forget(target, state, 0)

    def _called(self, node: ast.expr, state: State, number: int) -> End:
        """Methods of this class and of its bases may set fields; so may whoever gets the instance."""
        for call in ast.walk(node):
            if not isinstance(call, ast.Call):
                continue
            function = ast.unparse(call.func)
            end: End = ""
            if function.startswith("super("):
                end = self.method(function.rpartition(".")[2], state, number + 1)
            elif function.startswith("self.") and function.count(".") == 1:
                end = self.method(function[5:], state, 0)
            if end:
                return end
            if any(_name(argument) == "self" for argument in call.args):
                state.clear()
        return ""

    def _forget(self, node: ast.AST, state: State, number: int) -> None:
        """Whatever is set inside a loop, a `with` or a `try` is not known any more."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute | ast.Name) and isinstance(inner.ctx, ast.Store | ast.Del):
                state.pop(_name(inner), None)
            elif isinstance(inner, ast.Call):
                before = dict(state)
                self._called(inner, state, number)
                for key in [key for key in state if not _same(before.get(key, UNKNOWN), state[key])]:
                    state.pop(key)

    # ---- Expressions

    def _value(self, node: ast.expr, state: State, class_: griffe.Class) -> Any:
        try:
            return self._compute(node, state, class_)
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, MemoryError):
            return UNKNOWN

    def _compute(self, node: ast.expr, state: State, class_: griffe.Class) -> Any:
        def of(part: ast.expr) -> Any:
            value = self._compute(part, state, class_)
            if value is UNKNOWN:
                raise LookupError
            return value

        name = _name(node)
        if name in state:
            return state[name]
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name | ast.Attribute):
            return UNKNOWN if name.startswith("self.") else self._constant(node, class_)
        if isinstance(node, ast.BoolOp):
            value: Any = None
            for part in node.values:
                value = of(part)
                if bool(value) is isinstance(node.op, ast.Or):
                    return value
            return value
        if isinstance(node, ast.IfExp):
            return of(node.body if of(node.test) else node.orelse)
        if isinstance(node, ast.UnaryOp):
            value = of(node.operand)
            return not value if isinstance(node.op, ast.Not) else -_number(value) if _is_minus(node.op) else UNKNOWN
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return _TESTS[type(node.ops[0])](of(node.left), of(node.comparators[0]))
        if isinstance(node, ast.BinOp):
            value = _ARITHMETIC[type(node.op)](*map(_number, (of(node.left), of(node.right))))
            return value if abs(value) <= MAX_NUMBER else UNKNOWN
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            items = [of(item) for item in node.elts]
            return items if isinstance(node, ast.List) else tuple(items) if isinstance(node, ast.Tuple) else set(items)
        if isinstance(node, ast.Dict) and all(node.keys):
            return {of(key): of(value) for key, value in zip(node.keys, node.values, strict=True) if key is not None}
        return self._call(node, of) if isinstance(node, ast.Call) and not node.keywords else UNKNOWN

    def _call(self, node: ast.Call, of: Callable[[ast.expr], Any]) -> Any:
        function = ast.unparse(node.func)
        if function == "isinstance" and len(node.args) == 2 and ast.unparse(node.args[1]) in _TYPES:
            return isinstance(of(node.args[0]), _TYPES[ast.unparse(node.args[1])])
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "lower", "upper", "strip", "copy"):
            holder = of(node.func.value)
            if isinstance(holder, str | dict) and hasattr(holder, node.func.attr):
                return getattr(holder, node.func.attr)(*map(of, node.args))
        return _CALLS[function](*map(of, node.args)) if function in _CALLS else UNKNOWN

    def _constant(self, node: ast.expr, class_: griffe.Class) -> Any:
        folded = Folder(class_, self.resolver).visit(ast.parse(ast.unparse(node), mode="eval").body)
        return ast.literal_eval(folded)


def _name(node: ast.AST) -> str:
    """`x` or `self.x`; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return f"self.{node.attr}" if isinstance(node.value, ast.Name) and node.value.id == "self" else ""
    return node.id if isinstance(node, ast.Name) else ""


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > MAX_NUMBER:
        raise TypeError
    return value


def _is(one: Any, other: Any) -> bool:
    """Of anything but None and truth values nobody can read whether it is the same object."""
    if not any(value is None or isinstance(value, bool) for value in (one, other)):
        raise LookupError
    return one is other


def _is_minus(op: ast.unaryop) -> bool:
    return isinstance(op, ast.USub)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
