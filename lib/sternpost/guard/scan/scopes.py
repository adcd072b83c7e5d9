"""What names mean inside functions: references, instances, dictionaries with constant keys, texts."""

import ast
from collections.abc import Iterable, Sequence

from .code import Class, Function, Import, Module, Value, builds_on_itself
from .codebase import Codebase, External
from .keys import constant_keys, stores
from .meanings import AWAIT, CALL, ENTER, ITEM, UNKNOWN, Held, Inst, Items, Keys, Meaning, Ref, SelfOf, Text, Unknown
from .results import member, result
from .syntax import last_name

MAX_DEPTH = 40


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
            if name in scope and not (scope is self.stack[0] and scope[name] == UNKNOWN and self._in_branches(name)):
                return scope[name]
        if name in self.module.bindings:
            return self._global(name)
        for star in self.module.stars:
            if self.is_package(star):
                return Ref(f"{star}.{name}")
        if self.module.stars and (found := self.codebase.member(self.module, name)):
            return self._entity(found[0])
        return None

    def _in_branches(self, name: str) -> bool:
        """Whether a name that is assigned something unknown is a class of the module in another branch."""
        definitions = self.module.bindings.get(name, ())
        return any(isinstance(d, Class) for d in definitions) and not any(map(builds_on_itself, definitions))

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
        if isinstance(node, ast.NamedExpr):
            return self.evaluate(node.value, depth + 1)
        if isinstance(node, ast.Await):
            meant = self.evaluate(node.value, depth + 1)
            return meant.then(AWAIT) if isinstance(meant, Held) and meant.steps[-1] == CALL else meant
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.evaluate(node.left, depth + 1), self.evaluate(node.right, depth + 1)
            return Text(left.value + right.value) if isinstance(left, Text) and isinstance(right, Text) else None
        if isinstance(node, ast.Subscript):
            return self._item(node, depth)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return self._listed(node.elts, depth)
        if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp) and isinstance(node.elt, ast.Call):
            names = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
            self.stack.append(dict.fromkeys(names, UNKNOWN))
            made = self._listed([node.elt], depth)
            self.stack.pop()
            return made
        return None

    def _item(self, node: ast.Subscript, depth: int) -> Meaning | None:
        """What is looked up in a container."""
        if last_name(node.value) in ("type", "Type") or isinstance(node.slice, ast.Slice):
            return None
        held = self.evaluate(node.value, depth + 1)
        if isinstance(held, Held):
            return held.then(ITEM) if held.steps[-1] == CALL else None
        return Inst(held.path) if isinstance(held, Items) else None

    def _listed(self, nodes: Sequence[ast.expr], depth: int) -> Items | None:
        """Instances of one class."""
        path = ""
        for node in nodes:
            meant = self.evaluate(node, depth + 1) if isinstance(node, ast.Call | ast.Name) else None
            if not isinstance(meant, Inst) or path not in ("", meant.path):
                return None
            path = meant.path
        return Items(path) if path else None

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
        if isinstance(base, SelfOf | Inst):
            if (known := self.stack[0].get(f"{base.path}.{node.attr}")) is not None:
                return known
            start = "self" if isinstance(base, SelfOf) else "instance"
            own = member(self.codebase, base.path, node.attr) if not self.is_package(base.path) else None
            if own is not None and own.is_property:
                return result(self.codebase, self.package, own)
            return Held(base.path, (node.attr,), start)
        return base.then(node.attr) if isinstance(base, Held) else None

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
        if isinstance(callee, Held):
            own = member(self.codebase, callee.path, callee.steps[0]) if not self.is_package(callee.path) else None
            if own is not None:
                return result(self.codebase, self.package, own) if len(callee.steps) == 1 else None
            return callee.then(CALL)
        if callee is None and isinstance(node.func, ast.Attribute):
            return self._of_container(node.func, depth)
        if not isinstance(callee, Ref):
            return None
        if self.is_package(callee.path):
            known = callee.path.rpartition(".")[2][:1].isupper()
            return Inst(callee.path) if known else self._given(callee.path, node.func, depth)
        inside = callee.path.partition(".")[0] in self.codebase.tops and self.codebase.is_relevant(callee.path)
        for entity in self.codebase.find(callee.path) if inside else ():
            if isinstance(entity, Class):
                return Inst(entity.path)
            if isinstance(entity, Function):
                return result(self.codebase, self.package, entity) or self._result(entity, depth)
        return None

    def _of_container(self, func: ast.Attribute, depth: int) -> Inst | Items | None:
        """`d.values()`, `d.get(key)`, `xs.pop()`."""
        held = self.evaluate(func.value, depth + 1) if func.attr in ("values", "get", "pop", "setdefault") else None
        if not isinstance(held, Items):
            return None
        return Items(held.path) if func.attr == "values" else Inst(held.path)

    def _given(self, path: str, func: ast.expr, depth: int) -> Held:
        """What a function of the package gives; called through a class of the project it may give one of those."""
        base = self.evaluate(func.value, depth + 1) if isinstance(func, ast.Attribute) else None
        if isinstance(func, ast.Attribute) and isinstance(base, Ref) and not self.is_package(base.path):
            if any(isinstance(e, Class) for e in self.codebase.find(base.path)):
                return Held(base.path, (func.attr, CALL), "instance")
        return Held(path, (CALL,), "path")

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

    def entered(self, node: ast.expr) -> Meaning | None:
        """What `with ... as` hands out; of classes of the project what they are themselves."""
        meant = self.evaluate(node)
        if isinstance(meant, Inst) and self.is_package(meant.path):
            return Held(meant.path, (ENTER,), "instance")
        return meant.then(ENTER) if isinstance(meant, Held) else meant

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
