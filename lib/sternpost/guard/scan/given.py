"""What the package's own expressions give, in one version: instances of its classes, as far as the source says.

Attributes, calls, `await`, `with` and items are followed by annotations, by what functions return and by what is
assigned. None stands for what is not known: it may be anything.
"""

import ast
from collections.abc import Iterable

from .code import Class, Function, Module, SelfUse, Value
from .codebase import External
from .functions import CONTEXTS, TRANSPARENT, Body, body_of, is_generator, repeats_own_type, returned, self_name
from .library import Library
from .meanings import AWAIT, CALL, ENTER, ITEM
from .results import LISTS
from .sides import Member, Sides
from .syntax import dotted, last_name, unquoted
from .things import Bound, Instance, Kind, Later, Thing

MAX_DEPTH = 8
"""Functions that return what others return."""
_ASYNC_ITEMS = {"asynciterator", "asynciterable", "asyncgenerator"}
_AWAITED = {"awaitable", "coroutine", "future", "task"}


class Reader:
    """Follows steps through one version."""

    def __init__(self, sides: Sides, library: Library) -> None:
        self.sides = sides
        self.library = library

    # ---- Where steps begin

    def at(self, path: str) -> list[Thing]:
        """What stands at a dotted path of the package."""
        owner, _, name = path.rpartition(".")
        above = self.library.one(owner) if owner else None
        if isinstance(above, Class):
            return self._attribute(Kind(above), name)
        if isinstance(above, External):  # it may lie behind a value, or behind an attribute of a class
            return [found for thing in self.at(owner) for found in self.step(thing, name)]
        if isinstance(above, Value):
            return [found for thing in self._value(above, None, 0) for found in self.step(thing, name)]
        found = [entity for entity in self.library.find(path) if not isinstance(entity, External)]
        return [thing for entity in found for thing in self._entity(entity)] or [None]

    def _entity(self, entity: object, depth: int = 0) -> list[Thing]:
        if isinstance(entity, Class):
            return [Kind(entity)]
        if isinstance(entity, Function):
            return [Bound(entity)]
        return self._value(entity, None, depth) if isinstance(entity, Value) else [None]

    def instance(self, path: str) -> list[Thing]:
        """An instance of the class of the package or the project at a path."""
        if path in self.sides.classes:
            bases = self.sides.bases(path, self.library)
            return [Instance(bases[0], path)] if bases else []
        class_ = self.library.class_at(path)
        return [Instance(class_)] if class_ is not None else []

    # ---- Steps

    def follow(self, things: list[Thing], steps: Iterable[str]) -> list[Thing]:
        for step in steps:
            things = list(dict.fromkeys(found for thing in things for found in self.step(thing, step)))
        return things

    def step(self, thing: Thing, step: str, depth: int = 0) -> list[Thing]:
        """What one step leads to."""
        if isinstance(thing, Later):
            return list(thing.things) if thing.step == step else [None]
        if step == CALL:
            if isinstance(thing, Kind):
                return [Instance(thing.class_)]
            if isinstance(thing, Instance):
                called = self._attribute(thing, "__call__", depth)
                return [found for one in called for found in self.step(one, CALL, depth)]
            if not isinstance(thing, Bound):
                return [None]
            functions = (thing.function, *thing.function.others)
            return [found for function in functions for found in self._result(function, thing.of, depth)]
        if step == ENTER:
            entered = self._attribute(thing, "__enter__", depth) if isinstance(thing, Instance) else []
            entered = [one for one in entered if one] or self._entered_later(thing, depth)
            return [found for one in entered for found in self.step(one, CALL, depth)] or [None]
        if step in (AWAIT, ITEM) or not isinstance(thing, Instance | Kind):
            return [None]
        return self._attribute(thing, step, depth)

    def _entered_later(self, thing: Thing, depth: int) -> list[Thing]:
        found = self._attribute(thing, "__aenter__", depth) if isinstance(thing, Instance) else []
        return [Bound(one.function, one.of) for one in found if isinstance(one, Bound)]

    def _attribute(self, thing: Instance | Kind, name: str, depth: int = 0) -> list[Thing]:
        """What an attribute of an instance or a class holds."""
        of = thing if isinstance(thing, Instance) else Instance(thing.class_)
        owners = self.owners(of)
        for owner in owners:
            member = owner.members.get(name)
            if isinstance(member, Function):
                if member.is_property:
                    return self._returned(member, of, depth)
                unbound = isinstance(thing, Kind) and not member.decorators & {"classmethod", "staticmethod"}
                return [Bound(member, None if unbound else of)]
            if isinstance(member, Value):
                return self._value(member, of, depth)
            if isinstance(member, Class):
                return [Kind(member)]
        known = self.library.codebase.memo.setdefault("written", {})
        assert isinstance(known, dict)
        if (of, name) not in known:
            known[of, name] = [None]  # what a cycle finds
            written = [(use, owner) for owner in owners for use in owner.uses.writes if use.name == name]
            known[of, name] = [found for use, owner in written for found in self._assigned(use, owner, of, depth)]
        return list(known[of, name]) or [None]

    def owners(self, thing: Instance) -> list[Class]:
        """The classes of the package that give members to an instance, in their order."""
        if thing.project:
            return self.sides.bases(thing.project, self.library)
        return [owner for owner in self.library.chain(thing.class_) if isinstance(owner, Class)]

    def members(self, thing: Instance) -> dict[str, Member]:
        if thing.project:
            return self.sides.inherited(thing.project, self.library)
        return self.library.members(thing.class_)

    # ---- Functions

    def result(self, function: Function) -> list[Thing]:
        """What a function of the package gives, whatever its `self` is."""
        of = Instance(function.owner) if function.owner is not None else None
        return self._returned(function, of, 0)

    def _result(self, function: Function, of: Instance | None, depth: int) -> list[Thing]:
        """What calling a function gives; each is looked into once."""
        known = self.library.codebase.memo.setdefault("given", {})
        key = (function, of)
        assert isinstance(known, dict)
        if key not in known:
            known[key] = [None]  # what a cycle finds
            known[key] = self._called(function, of, depth)
        return list(known[key])

    def _called(self, function: Function, of: Instance | None, depth: int) -> list[Thing]:
        if function.decorators & CONTEXTS:
            return [Later(ENTER, tuple(self._yielded(function, of)))]
        if function.decorators - TRANSPARENT:  # it may give anything
            told = self._returned(function, of, depth) if function.node.returns is not None else []
            return [*told, None] if not isinstance(function.node, ast.AsyncFunctionDef) else [None]
        if isinstance(function.node, ast.AsyncFunctionDef):
            return [None] if is_generator(function) else [Later(AWAIT, tuple(self._returned(function, of, depth)))]
        open_ended = function.node.returns is None and is_generator(function)
        return [None] if open_ended else self._returned(function, of, depth)

    def _yielded(self, function: Function, of: Instance | None) -> list[Thing]:
        """What a context manager that is written as a generator hands out."""
        typed = self.typed(function.node.returns, function.module, of, function)
        return [found for thing in typed for found in self.step(thing, ITEM)] or [None]

    def _returned(self, function: Function, of: Instance | None, depth: int) -> list[Thing]:
        if function.node.returns is not None:
            return self.typed(function.node.returns, function.module, of, function)
        values = [value for value in returned(function) if value is not None]
        return [t for value in values for t in self._made(value, function.module, function, of, depth + 1)] or [None]

    def typed(
        self, annotation: ast.expr | None, module: Module, of: Instance | None = None, function: Function | None = None
    ) -> list[Thing]:
        """What an annotation allows; `None` in it is left out."""
        if isinstance(annotation, ast.Constant):
            if annotation.value is None:
                return []
            quoted = unquoted(annotation)
            return self.typed(quoted, module, of, function) if quoted is not None else [None]
        if isinstance(annotation, ast.BinOp):
            parts = [annotation.left, annotation.right]
            return [found for part in parts for found in self.typed(part, module, of, function)]
        if isinstance(annotation, ast.Subscript):
            return self._subscripted(annotation, module, of, function)
        name = dotted(annotation) if annotation is not None else None
        if name is None or annotation is None:
            return [None]
        if last_name(annotation) == "Self" or (function is not None and repeats_own_type(annotation, function)):
            return [of]
        found = self.library.codebase.lookup(name, module)
        return [Instance(e) if isinstance(e, Class) else None for e in found] or [None]

    def _subscripted(
        self, annotation: ast.Subscript, module: Module, of: Instance | None, function: Function | None
    ) -> list[Thing]:
        name = last_name(annotation.value)
        inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        if name in ("Optional", "Union"):
            return [found for part in inner for found in self.typed(part, module, of, function)]
        if name in ("Annotated", "ClassVar", "Final"):
            return self.typed(inner[0], module, of, function)
        if name.lower() in LISTS and (len(inner) == 1 or name.lower() in ("tuple", "generator")):
            same = name.lower() != "tuple" or len(inner) == 1 or ast.unparse(inner[1]) == "..."
            return [Later(ITEM, tuple(self.typed(inner[0], module, of, function)))] if same else [None]
        if name.lower() in _ASYNC_ITEMS:  # only a context manager that is written so is followed
            return [Later(ITEM, tuple(self.typed(inner[0], module, of, function)))]
        if name.lower() in _AWAITED:
            return [Later(AWAIT, tuple(self.typed(inner[-1], module, of, function)))]
        if name in ("type", "Type"):
            found = self.typed(inner[0], module, of, function)
            return [
                Kind(thing.class_) if isinstance(thing, Instance) and not thing.project else None for thing in found
            ]
        return self.typed(annotation.value, module, of, function)

    # ---- Expressions

    def _value(self, value: Value, of: Instance | None, depth: int) -> list[Thing]:
        if value.annotation is not None:
            return self.typed(value.annotation, value.module, of)
        if value.owner is not None and isinstance(value.node, ast.Name):
            other = value.owner.members.get(value.node.id)
            if isinstance(other, Function) and value.node.id != value.name:
                return [Bound(other, of)]
        return self._made(value.node, value.module, None, None, depth + 1) if value.node is not None else [None]

    def _assigned(self, use: SelfUse, owner: Class, of: Instance, depth: int) -> list[Thing]:
        """What one `self.name = ...` sets."""
        method = owner.members.get(use.method)
        if not isinstance(method, Function):
            return [None]
        node = self._body(method).assignments.get(id(use.node))
        if isinstance(node, ast.AnnAssign):
            return self.typed(node.annotation, owner.module, of)
        return self._made(node.value, owner.module, method, of, depth + 1) if node is not None else [None]

    def _body(self, function: Function) -> Body:
        return body_of(function, self.library.codebase.memo)

    def _made(
        self, value: ast.expr | None, module: Module, function: Function | None, of: Instance | None, depth: int
    ) -> list[Thing]:
        """What an expression gives: an instance, what a function returns, what an argument is said to be."""
        if depth > MAX_DEPTH:
            return [None]
        if isinstance(value, ast.IfExp | ast.BoolOp):
            parts = [value.body, value.orelse] if isinstance(value, ast.IfExp) else value.values
            return [found for part in parts for found in self._made(part, module, function, of, depth + 1)]
        if isinstance(value, ast.Constant) and value.value is None:
            return []
        if isinstance(value, ast.Await):
            awaited = self._made(value.value, module, function, of, depth + 1)
            return [found for thing in awaited for found in self.step(thing, AWAIT, depth + 1)]
        if isinstance(value, ast.Name):
            own = function is not None and value.id in self._body(function).names
            if function is not None and own:
                return self._local(value.id, function, of, depth)
            found = self.library.codebase.lookup(value.id, module)
            return [thing for entity in found for thing in self._entity(entity, depth)] or [None]
        if isinstance(value, ast.Attribute):
            held = self._made(value.value, module, function, of, depth + 1)
            return [found for thing in held for found in self.step(thing, value.attr, depth + 1)] or [None]
        if isinstance(value, ast.Call):
            called = self._callee(value, module, function, of)
            return [found for thing in called for found in self.step(thing, CALL, depth + 1)]
        return [None]

    def _local(self, name: str, function: Function, of: Instance | None, depth: int) -> list[Thing]:
        """`self`, an argument with an annotation, or a name that is assigned once."""
        first = self_name(function)
        if name == first:
            return [of] if "classmethod" not in function.decorators else [None]
        arguments = function.node.args
        stores = [n for n in ast.walk(function.node) if isinstance(n, ast.Name) and n.id == name]
        stores = [n for n in stores if not isinstance(n.ctx, ast.Load)]
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if argument.arg == name:
                return self.typed(argument.annotation, function.module, of, function) if not stores else [None]
        for node in ast.walk(function.node) if len(stores) == 1 else ():
            if isinstance(node, ast.Assign) and node.targets == stores:
                return self._made(node.value, function.module, function, of, depth + 1)
        return [None]

    def _callee(self, call: ast.Call, module: Module, function: Function | None, of: Instance | None) -> list[Thing]:
        """What a call in the package calls."""
        func = call.func
        own = self_name(function) if function is not None else ""
        is_class = function is not None and bool(function.decorators & {"classmethod"} or function.name == "__new__")
        name = dotted(func)
        if name is None:
            made = isinstance(func, ast.Call) and last_name(func.func) == "type" and len(func.args) == 1
            of_self = made and isinstance(func, ast.Call) and last_name(func.args[0]) == own
            return [_class_of(of)] if own and of_self else [None]
        head, _, rest = name.partition(".")
        if own and head == own:
            if rest == "__class__" or (is_class and not rest):
                return [_class_of(of)]
            return self._attribute(of, rest) if rest and "." not in rest and of is not None else [None]
        if function is not None and head in self._body(function).names:
            return [None]
        entities = self.library.codebase.lookup(name, module)
        return [thing for entity in entities for thing in self._entity(entity)] or [None]


def _class_of(of: Instance | None) -> Thing:
    """What makes another of the same."""
    return Later(CALL, (of,)) if of is not None else None
