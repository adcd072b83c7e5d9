"""What keeps a hit from being certain: several definitions, wrappers, members that are made at run time, sentinels."""

import ast
from collections.abc import Iterator
from dataclasses import replace

from .code import Class, Function, Value
from .codebase import External
from .contacts import Contact
from .hits import Hit, weaker
from .judge_calls import callee
from .lazy import makes_names, running
from .library import Library
from .sides import Sides
from .signature import Signature, misfits
from .syntax import dotted, last_name

_OF_ARGUMENTS = ("argument-gone", "argument-required", "argument-moved", "argument-swallowed", "default-shifted")
_OF_MEMBERS = ("name-gone", "member-gone", "string-path-gone")
_ANY_NAME = ("__getattr__", "__getattribute__")


class Doubts:
    """Weighs hits of two versions against what the package does that nobody can follow."""

    def __init__(self, sides: Sides) -> None:
        self.sides = sides

    def weighed(self, hit: Hit, contact: Contact) -> Hit:
        """The hit at the level that is certain."""
        if hit.rule in _OF_MEMBERS:
            return self._of_member(hit, contact)
        if hit.rule not in _OF_ARGUMENTS:
            return hit
        old, new = (self._called(contact, library) for library in (self.sides.old, self.sides.new))
        if isinstance(new, Function):
            shape = contact.shape
            if shape is not None and any(not list(misfits(shape, other.signature)) for other in new.others):
                return weaker(hit, "Another definition of it, for another platform or installation, takes this call.")
            if isinstance(old, Function) and self._is_wrapped_anew(old, new):
                return weaker(hit, "What wraps it now may take other arguments than it does itself.")
        if hit.rule == "default-shifted" and new is not None and self._is_sentinel(hit, new):
            return replace(hit, level="note", says=f"{hit.says} It only tells whether the argument was given.")
        return hit

    def _called(self, contact: Contact, library: Library) -> Function | Class | None:
        """What a call reaches in one version."""
        if contact.kind in ("call", "option"):
            called = callee(self.sides, contact, library)
            return called[0] if called is not None and isinstance(called[0], Function | Class) else None
        member = self.sides.inherited(contact.class_, library).get(contact.name)
        return member if isinstance(member, Function) else None

    # ---- Members

    def _of_member(self, hit: Hit, contact: Contact) -> Hit:
        if hit.level != "error" or not any(makes_members(k, self.sides.new) for k in self._owners(hit, contact)):
            return hit
        return weaker(hit, "The class makes some of its members when it runs.")

    def _owners(self, hit: Hit, contact: Contact) -> list[Class]:
        """The classes of the new version that would have the member."""
        owner = self.sides.new.class_at(hit.symbol.rpartition(".")[0])
        found = [owner] if owner is not None else []
        for path in (contact.class_, contact.path):
            found += self.sides.bases(path, self.sides.new) if path in self.sides.classes else []
        return found

    # ---- Calls

    def _is_wrapped_anew(self, old: Function, new: Function) -> bool:
        """Whether a wrapper of the package, which takes any arguments, stands around a function that had none."""
        known = {last_name(wrapper) for wrapper in _wrappers(old)}
        for wrapper in _wrappers(new):
            name = dotted(wrapper) if last_name(wrapper) not in known else None
            for entity in self.sides.new.codebase.lookup(name, new.module) if name else ():
                inner = ast.walk(entity.node) if isinstance(entity, Function | Class) else ()
                if any(isinstance(n, ast.FunctionDef) and (n.args.vararg or n.args.kwarg) for n in inner):
                    return True
        return False

    def _is_sentinel(self, hit: Hit, target: Function | Class) -> bool:
        """Whether a default is an object of the package's own that stands for no value."""
        signature: Signature | None
        signature = target.signature if isinstance(target, Function) else self.sides.new.constructor(target)
        name = hit.symbol.rpartition("(")[2].rstrip(")")
        argument = signature.get(name) if signature is not None else None
        text = argument.default if argument is not None else None
        if text is None or not all(part.isidentifier() for part in text.split(".")):
            return False
        found = self.sides.new.codebase.lookup(text, target.module)
        return any(isinstance(entity, Value) and isinstance(entity.node, ast.Call) for entity in found)


def _wrappers(function: Function) -> Iterator[ast.expr]:
    """What a function is handed to where it is defined: decorators, and `f = wrap(f)`."""
    for decorator in function.node.decorator_list:
        yield decorator.func if isinstance(decorator, ast.Call) else decorator
    bindings = function.owner.members.values() if function.owner is not None else ()
    others = function.module.bindings.get(function.name, ()) if function.owner is None else bindings
    for other in others:
        if isinstance(other, Value) and other.name == function.name and isinstance(other.node, ast.Call):
            yield other.node.func


def makes_members(class_: Class, library: Library) -> bool:
    """Whether a class may have members that no one can read: by `__getattr__`, a metaclass, or `setattr` in a loop."""
    for owner in library.chain(class_):
        if isinstance(owner, External):
            continue
        if any(name in owner.members for name in _ANY_NAME) or any(map(makes_names, running(owner.node.body))):
            return True
        meta = next((keyword.value for keyword in owner.node.keywords if keyword.arg == "metaclass"), None)
        for entity in library.codebase.lookup(dotted(meta) or "", owner.module) if meta is not None else ():
            if isinstance(entity, Class) and any(name in entity.members for name in _ANY_NAME):
                return True
        if "setattr(" in owner.module.text and _is_set_on(owner):
            return True
    return False


def _is_set_on(class_: Class) -> bool:
    """Whether the module of a class sets members of it whose names are computed."""
    for node in ast.walk(class_.module.tree):
        if isinstance(node, ast.Call) and last_name(node.func) == "setattr" and len(node.args) == 3:
            if last_name(node.args[0]) == class_.name and not isinstance(node.args[1], ast.Constant):
                return True
    return False
