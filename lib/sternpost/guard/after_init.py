"""Defaults that `__post_init__` puts in place of the declared ones, where reading it can tell.

The method is walked with what the fields are when nobody sets any. A value is either known or not; a test that is not
known leaves what both of its branches agree on. Nothing is executed: expressions are computed over literals, by the
few operations that are listed here.
"""

import ast
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

import griffe

from .bodies import Bodies
from .computing import METHODS, UNKNOWN, compute, name_of, same
from .resolve import Resolver
from .values import Folder, shorten

UNSURE = "?"
"""In a state: the method may have returned by now, so that what it sets from here on is not known."""

State = dict[str, Any]
"""Fields as `self.x`, local variables as `x`. What is missing is not known."""

MAX_ITEMS = 100
"""Items of a loop that is followed."""

MAX_CALLS, MAX_STEPS = 20, 5_000
"""Methods and statements that are followed from one `__post_init__`."""

_READERS = (
    *("getattr", "hasattr", "isinstance", "fields", "dataclasses.fields", "asdict", "type", "id", "repr", "str", "len"),
    *("sorted", "print", "warnings.warn", "list", "tuple", "dict", "set", "min", "max", "ValueError"),
)
"""Functions that leave an instance as it is."""

End = Literal["", "returned", "raised"]
"""Whether a method goes on behind a statement."""


def settled(
    lineage: list[griffe.Class],
    declared: Mapping[str, str | None],
    foreign: Mapping[str, str | None],
    resolver: Resolver,
    bodies: Bodies,
) -> dict[str, str]:
    """Field -> its default as text after `__post_init__`, where it is not `declared`; `?` where reading cannot tell.

    `foreign` holds the options of bases elsewhere: the defaults of those that they leave alone, None for others.
    """
    before: State = {}
    for name, text in {**foreign, **declared}.items():
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
        if old is not UNKNOWN and not same(old, new):
            found[name] = "?" if new is UNKNOWN else shorten(repr(new))
    return found


class _Walk:
    """One walk from `__post_init__` of the first class of a lineage."""

    def __init__(
        self, lineage: list[griffe.Class], foreign: Mapping[str, str | None], resolver: Resolver, bodies: Bodies
    ) -> None:
        self.lineage = lineage
        self.foreign = foreign
        self.resolver = resolver
        self.bodies = bodies
        self.calls = 0
        self.steps = 0

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
        for field, default in self.foreign.items():
            if default is None:
                state.pop(f"self.{field}", None)
        return ""

    def _block(self, body: list[ast.stmt], state: State, class_: griffe.Class, number: int) -> End:
        for node in body:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise RecursionError
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
        if isinstance(node, ast.For):
            return self._loop(node, state, class_, number)
        if isinstance(node, ast.Expr):
            if (target := self._set(node.value, state, class_)) is not None:
                self._assign([target], node.value.args[2], state, class_)  # type: ignore[attr-defined]
            return self._called(node.value, state, number) if target is None else ""
        if not isinstance(node, ast.Pass | ast.Assert | ast.Import | ast.ImportFrom):
            self._forget(node, state, number)
        return ""

    def _set(self, node: ast.expr, state: State, class_: griffe.Class) -> ast.expr | None:
        """What `setattr(self, name, value)` sets, where the name is known."""
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr" and len(node.args) == 3):
            return None
        name = self._value(node.args[1], state, class_)
        if name_of(node.args[0]) != "self" or not isinstance(name, str):
            return None
        return ast.Attribute(ast.Name("self", ast.Load()), name, ast.Store())

    def _if(self, node: ast.If, state: State, class_: griffe.Class, number: int) -> End:
        test = self._value(node.test, state, class_)
        if test is not UNKNOWN:
            inner = dict(state)
            end = self._block(node.body if test else node.orelse, inner, class_, number)
            if end != "raised" or not self._others(node.test, state):
                state.clear()
                state.update(inner)
                return end
        branches = []
        for branch in (node.body, node.orelse):
            inner = dict(state)
            branches.append((self._block(branch, inner, class_, number), inner))
        states = [inner for end, inner in branches if end != "raised"]
        if not states:
            return "raised"
        agreed = {k: v for k, v in states[0].items() if all(k in other and same(v, other[k]) for other in states)}
        state.clear()
        state.update(agreed | ({UNSURE: True} if any(end == "returned" for end, _ in branches) else {}))
        return ""

    def _others(self, test: ast.expr, state: State) -> bool:
        """Where the defaults are refused: who has an instance set one of the options that are tested.

        They are not known any more; False if there are none.
        """
        tested = {name_of(part) for part in ast.walk(test)} & state.keys()
        for name in tested:
            state.pop(name)
        return bool(tested)

    def _assign(self, targets: list[ast.expr], value: ast.expr, state: State, class_: griffe.Class) -> None:
        found = self._value(value, state, class_)
        for target in targets:
            name = name_of(target)
            if name and found is not UNKNOWN and UNSURE not in state:
                state[name] = found
            elif name:
                state.pop(name, None)
            else:
                self._forget(target, state, 0)
                self._changed(target, state)

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
            if any(name_of(argument) == "self" for argument in call.args) and function not in _READERS:
                state.clear()
            elif function not in _READERS and function.rpartition(".")[2] not in METHODS:
                self._changed(call, state)
        return ""

    def _changed(self, node: ast.AST, state: State) -> None:
        """Lists, dictionaries and sets that are handed to others, or called, or written to, may hold anything now."""
        held = [state.get(name_of(part)) for part in ast.walk(node) if name_of(part)]
        for value in held:
            if isinstance(value, list | dict | set):
                for key in [key for key, other in state.items() if other is value]:
                    state.pop(key)

    def _loop(self, node: ast.For, state: State, class_: griffe.Class, number: int) -> End:
        """A loop over a literal, once for each item; whatever another loop sets is not known."""
        values = self._value(node.iter, state, class_)
        names = [name_of(n) for n in (node.target.elts if isinstance(node.target, ast.Tuple) else [node.target])]
        plain = not any(isinstance(inner, ast.Break | ast.Continue) for inner in ast.walk(node)) and not node.orelse
        if not isinstance(values, list | tuple) or len(values) > MAX_ITEMS or not all(names) or not plain:
            self._forget(node, state, number)
            return ""
        for value in values:
            items = [value] if isinstance(node.target, ast.Name) else list(value)
            state.update(zip(names, items, strict=False))
            if end := self._block(node.body, state, class_, number):
                return end
        return ""

    def _forget(self, node: ast.AST, state: State, number: int) -> None:
        """Whatever is set inside a `with`, a `try` or an endless loop is not known any more."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute | ast.Name) and isinstance(inner.ctx, ast.Store | ast.Del):
                state.pop(name_of(inner), None)
            elif isinstance(inner, ast.Subscript) and isinstance(inner.ctx, ast.Store | ast.Del):
                self._changed(inner, state)
            elif isinstance(inner, ast.Call):
                before = dict(state)
                self._called(inner, state, number)
                for key in [key for key in state if not same(before.get(key, UNKNOWN), state[key])]:
                    state.pop(key)

    # ---- Expressions

    def _value(self, node: ast.expr, state: State, class_: griffe.Class) -> Any:
        return compute(node, lambda part: self._known(part, state, class_))

    def _known(self, node: ast.expr, state: State, class_: griffe.Class) -> Any:
        name = name_of(node)
        if name in state:
            return state[name]
        return self._class_constant(node, class_) if name.startswith("self.") else self._constant(node, class_)

    def _class_constant(self, node: ast.expr, class_: griffe.Class) -> Any:
        """A constant of the class that is no field and that nobody sets on `self`."""
        name = name_of(node).removeprefix("self.")
        owner = next((owner for owner in self.lineage if name in owner.members), None)
        is_constant = owner is not None and name.isupper() and isinstance(owner.members[name], griffe.Attribute)
        return self._constant(ast.Name(name, ast.Load()), owner) if is_constant and owner is not None else UNKNOWN

    def _constant(self, node: ast.expr, class_: griffe.Class) -> Any:
        folded = Folder(class_, self.resolver).visit(ast.parse(ast.unparse(node), mode="eval").body)
        return ast.literal_eval(folded)
