"""What one expression does with the package: calls, reads, replaces, inspects."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from .calls import call_passed_on
from .code import Function, imports
from .contacts import Contact, Guard
from .guards import join
from .instances import Instances
from .keys import constant_keys
from .meanings import Held, Inst, Items, Keys, Meaning, Ref, SelfOf, Text
from .signature import Shape, Signature
from .syntax import dotted, last_name

if TYPE_CHECKING:
    from .walker import Walker

OPTIONS = re.compile(r"(kwargs|args|params|config|options|settings)\d*$", re.I)
"""Names of dictionaries that probably hold options."""
_MAKERS = re.compile(r"(config|args|cls|class|trainer|kls)s?\d*$", re.I)
_INSPECTED = {
    "signature": "signature",
    "getfullargspec": "signature",
    "getsource": "source",
    "getsourcelines": "source",
    "getsourcefile": "file",
    "getfile": "file",
    "fields": "fields",
    "dir": "names",
    "vars": "names",
    "getmembers": "names",
}


class Uses:
    """Turns expressions into contacts of the walker."""

    def __init__(self, walker: Walker) -> None:
        self.walker = walker
        self.scopes = walker.scopes
        self.unpacked: dict[int, int] = {}
        self.functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
        self._called: set[int] = set()
        self.instances = Instances(walker.scopes)

    def imported(self, node: ast.Import | ast.ImportFrom) -> None:
        """One contact for each name of the package that an import takes."""
        source = self.walker.module.absolute(node.module, node.level) if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            if isinstance(node, ast.Import):
                path = alias.name
            else:
                path = source if alias.name == "*" else f"{source}.{alias.name}"
            if self.scopes.is_package(path):
                self.walker.add("import", path, alias, detail="module" if isinstance(node, ast.Import) else "")
        if len(self.scopes.stack) > 1:
            for import_ in imports(node, self.walker.module):
                self.scopes.bind(import_.name, self.scopes.canonical(import_.path))

    def star(self, node: ast.Name) -> None:
        """A name that only a star import of the package can have brought."""
        if isinstance(node.ctx, ast.Load) and self.walker.module.stars and node.id not in _BUILTINS:
            meant = self.scopes.name(node.id)
            if isinstance(meant, Ref) and any(meant.path == f"{s}.{node.id}" for s in self.walker.module.stars):
                self.walker.add("attribute", meant.path, node)

    def attribute(self, node: ast.Attribute) -> None:
        """A read of something of the package, of an instance of it, or of `self`."""
        base = self.scopes.evaluate(node.value)
        used = self.walker.used.get(id(node), "")
        if isinstance(base, Ref) and self.scopes.is_package(base.path) and isinstance(node.ctx, ast.Load):
            self.walker.add("attribute", f"{base.path}.{node.attr}", node, used=used)
        elif isinstance(base, Ref) and self.instances.is_interesting(base.path) and isinstance(node.ctx, ast.Load):
            meant = self.scopes.evaluate(node)  # through a class of the project
            if isinstance(meant, Ref) and self.scopes.is_package(meant.path):
                self.walker.add("attribute", meant.path, node, used=used)
        elif isinstance(base, Inst) and self.instances.is_interesting(base.path) and isinstance(node.ctx, ast.Load):
            self.walker.add("attribute", base.path, node, node.attr, detail="instance", used=used)
        elif isinstance(base, SelfOf):
            if isinstance(node.ctx, ast.Load):
                self.walker.add("self-read", "", node, node.attr, used=used)
        elif isinstance(node.ctx, ast.Load) and last_name(node.value).endswith(("args", "config")):
            inside = isinstance(node.value, ast.Attribute) and isinstance(
                self.scopes.evaluate(node.value.value), SelfOf
            )
            read = (last_name(node.value),)
            self.walker.add("argument-read", "", node, node.attr, detail="self" if inside else "", words=read)
        elif isinstance(base, Held) and isinstance(node.ctx, ast.Load):
            self._held(base, node, node.attr, used=used)
        if isinstance(node.value, ast.Call) and self._super_of(node.value) is not None and id(node) not in self._called:
            self.walker.add("super", "", node, node.attr, detail=self._super_of(node.value) or "")

    def protocol(self, node: ast.expr, name: str) -> None:
        """A special method that a statement calls: of what is entered, looped over, looked up in."""
        meant = self.scopes.evaluate(node)
        if isinstance(meant, Inst) and self.scopes.is_package(meant.path):
            self.walker.add("attribute", meant.path, node, name, detail="instance")
        elif isinstance(meant, Held) and meant.start == "path":
            self._held(meant, node, name)

    def looked_up(self, node: ast.Subscript | ast.Call) -> None:
        """`E["NAME"]` and `E("value")`: members of an Enum, if it is one."""
        if isinstance(node, ast.Subscript):
            key, func = node.slice, node.value
        else:
            key, func = node.args[0] if len(node.args) == 1 and not node.keywords else node, node.func
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str | int):
            return
        meant = self.scopes.evaluate(func)
        if isinstance(meant, Ref) and self.scopes.is_package(meant.path):
            if isinstance(node, ast.Call):
                self.walker.add("member", meant.path, node, ast.unparse(key), detail="value")
            elif isinstance(key.value, str):
                self.walker.add("member", meant.path, node, key.value, detail="name")

    def _held(self, base: Held, node: ast.AST, name: str, **more: Any) -> None:
        """A member of what an attribute holds."""
        if base.start == "self":
            self.walker.add("held", "", node, name, detail="self", words=base.steps, **more)
        elif self.instances.is_interesting(base.path):
            self.walker.add("held", base.path, node, name, detail=base.start, words=base.steps, **more)

    def was_called(self, node: ast.Call) -> bool:
        return id(node) in self._called

    def _super_of(self, node: ast.AST) -> str | None:
        """For `super()` nothing, for `super(X, self)` the path of X; None if it is no such call."""
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"):
            return None
        meant = self.scopes.evaluate(node.args[0]) if node.args else None
        return meant.path if isinstance(meant, Ref) else ""

    # ---- Calls

    def call(self, node: ast.Call) -> None:
        name = last_name(node.func)
        self._reflection(node, name)
        self.looked_up(node)
        if (passed := call_passed_on(node)) is not None and isinstance(self.scopes.evaluate(passed.func), Ref):
            self.call(passed)
        if self._replacing(node, name):
            return
        keys = self._splatted(node)
        open_keys = keys.open if keys is not None else False
        shape = Shape.of(node, (), open_keys)
        unpacked = self.unpacked.get(id(node))
        lines = tuple((k.arg, k.value.lineno) for k in node.keywords if k.arg)
        splatted = tuple(keys.keys) if keys is not None else ()
        used = self.walker.used.get(id(node), "")
        plain: dict[str, Any] = {"shape": shape, "unpacked": unpacked, "lines": lines, "used": used}
        more = plain | {"words": splatted}
        splat: dict[str, Any] = {"shape": Shape.of(node, splatted, open_keys)}
        callee: Contact | None = None
        if isinstance(node.func, ast.Attribute):
            above = self._super_of(node.func.value)
            base = self.scopes.evaluate(node.func.value)
            if above is not None:
                callee = self.walker.add("super", "", node, name, detail=above, **more)
            elif isinstance(base, SelfOf):
                callee = self.walker.add("self-read", "", node.func, name, **more)
            elif isinstance(base, Inst) and self.instances.is_interesting(base.path):
                callee = self.walker.add("call", base.path, node, name, detail="instance", **(more | splat))
            elif isinstance(base, Held):
                self._held(base, node.func, name, **(plain | splat))
                self._called.add(id(node))
        meant = self.scopes.evaluate(node.func) if callee is None else None
        if isinstance(meant, Ref) and self.instances.is_interesting(meant.path):
            callee = self.walker.add("call", meant.path, node, **more)
            if isinstance(node.func, ast.Attribute):
                self.attribute(node.func)
        elif isinstance(meant, Inst) and self.scopes.is_package(meant.path):
            callee = self.walker.add("call", meant.path, node, "__call__", detail="instance", **more)
        if callee is not None:
            self._called.add(id(node))
        self._options(node, keys, callee)

    def _splatted(self, node: ast.Call) -> Keys | None:
        """All that is known of the dictionaries that a call splats."""
        found: Keys | None = None
        for keyword in node.keywords:
            if keyword.arg is None:
                found = found or Keys()
                self.scopes.merge(found, self.scopes.evaluate(keyword.value))
        return found

    def _options(self, node: ast.Call, keys: Keys | None, callee: Contact | None) -> None:
        """Keys of splatted dictionaries go to the callee; where that is not known they may still be options."""
        path = callee.path if callee is not None and callee.kind == "call" and not callee.name else ""
        for key, place in (keys.keys if keys is not None else {}).items():
            if place is not None and hasattr(place, "lineno"):
                self.walker.add("option", path, place, key)
        if callee is None and _MAKERS.search(last_name(node.func)):
            for keyword in node.keywords:
                if keyword.arg:
                    self.walker.add("option", "", keyword, keyword.arg)
        elif callee is None and last_name(node.func) in ("dict", "update") and isinstance(node.func, ast.Attribute):
            if OPTIONS.search(last_name(node.func.value)):
                places = {k.arg: k for k in node.keywords if k.arg}
                for argument in node.args:
                    if isinstance(argument, ast.Dict):
                        places |= constant_keys(argument)  # type: ignore[arg-type]
                for key, where in places.items():
                    self.walker.add("option", "", where, key)

    # ---- Reflection and replacement

    def _reflection(self, node: ast.Call, name: str) -> None:
        first = self.scopes.evaluate(node.args[0]) if node.args else None
        if name in _INSPECTED and isinstance(first, Ref) and self.instances.is_interesting(first.path):
            if name not in ("fields", "dir", "vars") or isinstance(node.func, ast.Name) or name == "fields":
                self.walker.add("reflection", first.path, node, detail=_INSPECTED[name])
        elif name in ("getattr", "hasattr") and isinstance(node.func, ast.Name) and len(node.args) >= 2:
            self._named_attribute(node, first, name)

    def _named_attribute(self, node: ast.Call, first: object, name: str) -> None:
        text = self.scopes.evaluate(node.args[1])
        if not isinstance(text, Text) or not text.value.isidentifier():
            return
        before = self.walker.guard
        if name == "hasattr" or len(node.args) == 3:
            self.walker.guard = join(before, Guard(present=frozenset({text.value})))
        if isinstance(first, Ref) and self.scopes.is_package(first.path):
            self.walker.add("attribute", f"{first.path}.{text.value}", node)
        elif isinstance(first, Inst) and self.instances.is_interesting(first.path):
            self.walker.add("attribute", first.path, node, text.value, detail="instance")
        elif isinstance(first, SelfOf):
            self.walker.add("self-read", "", node, text.value)
        elif isinstance(first, Held):
            self._held(first, node, text.value)
        elif last_name(node.args[0]).endswith(("args", "config")):
            self.walker.add("argument-read", "", node, text.value)
        self.walker.guard = before

    def _replacing(self, node: ast.Call, name: str) -> bool:
        """`setattr(x, "name", value)`, `monkeypatch.setattr`, `mock.patch`, `mock.patch.object`."""
        if name in ("setattr", "delattr", "object") and len(node.args) >= 2:
            first, text = self.scopes.evaluate(node.args[0]), self.scopes.evaluate(node.args[1])
            if isinstance(first, Ref) and self.scopes.is_package(first.path) and isinstance(text, Text):
                self._patch(first.path, text.value, node, node.args[2] if len(node.args) > 2 else None)
                return True
        if name in ("patch", "setattr") and node.args:
            text = self.scopes.evaluate(node.args[0])
            if isinstance(text, Text) and self.scopes.is_package(text.value) and "." in text.value:
                owner, _, attribute = text.value.rpartition(".")
                self._patch(owner, attribute, node, node.args[1] if len(node.args) > 1 else None)
                return True
        return False

    def assigned(self, target: ast.expr, value: ast.expr | None) -> None:
        """A binding, an attribute that is set, or a key that is stored."""
        if isinstance(target, ast.Name):
            self.scopes.bind(target.id, self._fresh(self.scopes.evaluate(value)), value)
            if isinstance(value, ast.Dict) and OPTIONS.search(target.id):
                for key, place in constant_keys(value).items():
                    self.walker.add("option", "", place, key)
        elif isinstance(target, ast.Tuple | ast.List):
            values = value.elts if isinstance(value, ast.Tuple | ast.List) else []
            for index, item in enumerate(target.elts):
                given = values[index] if len(values) == len(target.elts) else None
                self.assigned(item.value if isinstance(item, ast.Starred) else item, given)
        elif isinstance(target, ast.Attribute):
            self._set_attribute(target, value)
        elif isinstance(target, ast.Subscript):
            self._stored(target)

    def _fresh(self, meant: object) -> Meaning | None:
        if isinstance(meant, Keys):
            return Keys(dict(meant.keys), meant.open)
        return meant if isinstance(meant, Ref | Inst | Items | Text | SelfOf | Held) else None

    def _set_attribute(self, target: ast.Attribute, value: ast.expr | None) -> None:
        base = self.scopes.evaluate(target.value)
        if isinstance(base, Ref) and self.scopes.is_package(base.path):
            self._patch(base.path, target.attr, target, value)
        elif isinstance(base, SelfOf):
            self.walker.add("self-write", "", target, target.attr)
            meant = self.scopes.evaluate(value)
            if isinstance(meant, Inst | Ref | Items) or (isinstance(meant, Held) and meant.start == "path"):
                self.scopes.stack[0][f"{base.path}.{target.attr}"] = meant
        else:
            if isinstance(base, Inst) and self.instances.is_interesting(base.path):
                self.walker.add("attribute", base.path, target, target.attr, detail="written")
            self.walker.visit(target.value)

    def _stored(self, target: ast.Subscript) -> None:
        self.walker.visit(target)
        name = last_name(target.value)
        if not isinstance(target.slice, ast.Constant) or not isinstance(target.slice.value, str):
            return
        known = self.scopes.evaluate(target.value)
        if isinstance(known, Keys):
            known.keys[target.slice.value] = target
        if isinstance(known, Keys) or OPTIONS.search(name):
            self.walker.add("option", "", target, target.slice.value)

    def _patch(self, path: str, name: str, node: ast.AST, value: ast.expr | None) -> None:
        signature = self._signature(value) if value is not None else None
        shown = dotted(value) if value is not None else "del"
        self.walker.add("patch", path, node, name, signature=signature, detail=shown or "")

    def _signature(self, value: ast.expr) -> Signature | None:
        """That of a function that is put in place of another, `self` included."""
        if isinstance(value, ast.Lambda):
            return Signature.of(value, bound=False)
        if isinstance(value, ast.Name) and value.id in self.functions:
            return Signature.of(self.functions[value.id], bound=False)
        meant = self.scopes.evaluate(value)
        if isinstance(meant, Ref) and meant.path.partition(".")[0] in self.walker.codebase.tops:
            for entity in self.walker.codebase.find(meant.path):
                if isinstance(entity, Function):
                    return Signature.of(entity.node, bound=False)
        return None


_BUILTINS = frozenset(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__)
