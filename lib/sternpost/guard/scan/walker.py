"""One pass over a module of the project: every place that touches the package, with the conditions around it."""

import ast
from typing import Any

from .code import Class, Module, imports
from .codebase import Codebase, External
from .contacts import Contact, Guard, Place
from .flow import Flow
from .guards import join
from .meanings import UNKNOWN, Keys, Meaning, Ref, SelfOf
from .scopes import Scopes
from .syntax import last_name, tuple_size
from .texts import TextReader
from .uses import Uses


class Walker(Flow, ast.NodeVisitor):
    """Collects the contacts of one module; `contacts` grows while it walks."""

    def __init__(self, module: Module, codebase: Codebase, package: str) -> None:
        super().__init__(module, Scopes(module, codebase, package))
        self.codebase = codebase
        self.contacts: list[Contact] = []
        self.classes: list[Class] = []
        self.owner: Class | None = None
        self.method = ""
        self.depth = 0
        self.guard_of: dict[int, Guard] = {}
        self.all_imports = [n for n in ast.walk(module.tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        futures = [n for n in self.all_imports if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
        self._postponed = any(alias.name == "annotations" for node in futures for alias in node.names)
        self.uses = Uses(self)
        self.texts = TextReader(self)

    def run(self) -> None:
        self.block(self.module.tree.body)
        self.used.clear()

    def add(self, kind: str, path: str, node: ast.AST, name: str = "", **more: Any) -> Contact:
        place = Place(self.module.file, getattr(node, "lineno", 1), getattr(node, "col_offset", 0))
        given: dict[str, Any] = {"guard": self.guard, "class_": self.owner.path if self.owner else ""}
        given |= {"method": self.method} | more
        if self.checked_only:
            given["used"] = "type"
        contact = Contact(kind, path, place, name, **given)
        self.contacts.append(contact)
        return contact

    def protocol(self, node: ast.expr, name: str) -> None:
        self.uses.protocol(node, name)

    # ---- Loops

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.used[id(node.iter)] = "async for" if isinstance(node, ast.AsyncFor) else "for"
        self.visit(node.iter)
        self.protocol(node.iter, "__aiter__" if isinstance(node, ast.AsyncFor) else "__iter__")
        self._bind_target(node.target, node.iter)
        self.block(node.body)
        self.block(node.orelse)

    visit_AsyncFor = visit_For  # noqa: N815

    def _bind_target(self, target: ast.expr, container: ast.expr) -> None:
        """Names that a loop binds hide others; a plain one is what the container holds."""
        pair = target.elts[1] if isinstance(target, ast.Tuple) and len(target.elts) == 2 else None
        instances = self.uses.instances
        element = instances.element(container) if pair is None else instances.second(container)
        for name in ast.walk(target):
            if isinstance(name, ast.Name):
                self.scopes.bind(name.id, element if name is (pair or target) else None)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.scopes.stack.append({})
        self.scopes.values.append({})
        before = self.guard
        for generator in node.generators:
            self.used[id(generator.iter)] = "async for" if generator.is_async else "for"
            self.visit(generator.iter)
            self._bind_target(generator.target, generator.iter)
            for test in generator.ifs:
                self.visit(test)
                self.guard = join(self.guard, self.known(test, True))
        for value in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(value)
        self.guard = before
        self.scopes.stack.pop()
        self.scopes.values.pop()

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp  # noqa: N815

    # ---- Definitions

    def visit_Import(self, node: ast.Import) -> None:
        self.uses.imported(node)

    visit_ImportFrom = visit_Import  # type: ignore[assignment]  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if self.depth > 20:
            return
        class_ = self._class(node)
        self.classes.append(class_)
        self.guard_of[id(node)] = self.guard
        for expression in [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]:
            self.visit(expression)
        before, outer_method = self.owner, self.method
        self.owner, self.method = class_, ""
        self.depth += 1
        for name, meant in self.uses.instances.declared(node):
            self.scopes.stack[0].setdefault(f"{class_.path}.{name}", meant)
        self._under(self.skipping(node), node.body)
        self.owner, self.method = before, outer_method
        self.depth -= 1
        if len(self.scopes.stack) > 1:
            self.scopes.bind(node.name, Ref(class_.path))

    def _class(self, node: ast.ClassDef) -> Class:
        """The class that the code base knows, or a local one with the bases that its scope gives it."""
        known = [d for d in self.module.bindings.get(node.name, ()) if isinstance(d, Class) and d.node is node]
        if known:
            return known[0]
        class_ = Class(f"{node.name}@{node.lineno}", self.module, node, None)
        bases: list[Class | External] = []
        for base in node.bases:
            meant = self.scopes.evaluate(base)
            if isinstance(meant, Ref):
                bases += [e for e in self.codebase.find(meant.path) if isinstance(e, Class | External)][:1]
        self.codebase.given_bases[class_.path] = bases
        self.codebase.local_classes[class_.path] = class_
        return class_

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for expression in [*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d)]:
            self.visit(expression)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        for annotation in [node.returns, *(a.annotation for a in arguments if a is not None)]:
            self.annotation(annotation, not self._postponed)
        if self.depth > 20:
            return
        method = self.owner is not None and self.method == ""
        if self.depth and not method:
            self.uses.functions[node.name] = node
        functions = dict(self.uses.functions)
        outer_method = self.method
        self.scopes.stack.append(self._parameters(node, method))
        self.scopes.values.append({})
        if not outer_method:
            self.method = node.name
        self.depth += 1
        self._imports_ahead(node)
        self._under(self.skipping(node), node.body)
        self.depth -= 1
        self.method = outer_method
        self.uses.functions = functions
        self.scopes.stack.pop()
        self.scopes.values.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def _imports_ahead(self, node: ast.AST) -> None:
        """Names that a function imports mean the import wherever in it they are used."""
        first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", None) or 0
        for inner in self.all_imports:
            if first <= inner.lineno <= last:
                for import_ in imports(inner, self.module):
                    known = self.scopes.stack[-1].get(import_.name)
                    if not (isinstance(known, Ref) and self.scopes.is_package(known.path)):
                        self.scopes.bind(import_.name, self.scopes.canonical(import_.path))

    def _parameters(self, node: ast.FunctionDef | ast.AsyncFunctionDef, method: bool) -> dict[str, Meaning]:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        found: dict[str, Meaning] = {}
        for position, argument in enumerate(arguments):
            found[argument.arg] = self.uses.instances.given(argument.annotation) or UNKNOWN
            static = any(last_name(d) == "staticmethod" for d in node.decorator_list)
            if method and position == 0 and self.owner is not None and not static:
                found[argument.arg] = SelfOf(self.owner.path)
        for other in (node.args.vararg, node.args.kwarg):
            if other is not None:
                found[other.arg] = UNKNOWN
        return found

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.scopes.stack.append({a.arg: UNKNOWN for a in [*node.args.posonlyargs, *node.args.args]})
        self.visit(node.body)
        self.scopes.stack.pop()

    # ---- Uses

    def visit_Assign(self, node: ast.Assign) -> None:
        unpacked = tuple_size(node.targets[0]) if isinstance(node.value, ast.Call | ast.Await) else None
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if unpacked is not None and isinstance(call, ast.Call):
            self.uses.unpacked[id(call)] = unpacked
        self.visit(node.value)
        for target in node.targets:
            self.uses.assigned(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        evaluated = not self._postponed and len(self.scopes.stack) == 1
        if isinstance(node.annotation, ast.Constant):
            self.annotation(node.annotation, evaluated)
        else:
            before = self.checked_only
            self.checked_only = before or not evaluated
            self.visit(node.annotation)
            self.checked_only = before
        if node.value is not None:
            self.visit(node.value)
            self.uses.assigned(node.target, node.value)
            if isinstance(node.value, ast.Dict | ast.List) and isinstance(node.target, ast.Name):
                held = self.uses.instances.given(node.annotation)
                self.scopes.bind(node.target.id, held) if held is not None else None
        elif isinstance(node.target, ast.Name) and len(self.scopes.stack) > 1:
            self.scopes.bind(node.target.id, self.uses.instances.given(node.annotation))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name) and isinstance(node.op, ast.BitOr):
            known = self.scopes.name(node.target.id)
            if isinstance(known, Keys):
                self.scopes.merge(known, self.scopes.evaluate(node.value))
        elif isinstance(node.target, ast.Attribute):
            self.uses.attribute(node.target)
            self.uses.assigned(node.target, node.value)
        else:
            self.visit(node.target)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Attribute):
                self.uses.assigned(target, None)
            else:
                self.visit(target)

    def visit_Call(self, node: ast.Call) -> None:
        self.uses.call(node)
        self.texts.call(node)
        for child in [*node.args, *node.keywords]:
            self.visit(child)
        if isinstance(node.func, ast.Attribute):
            self.used[id(node.func.value)] = "value"
            self.visit(node.func.value)
            if not self.uses.was_called(node):
                self.uses.attribute(node.func)
        else:
            self.visit(node.func)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.uses.attribute(node)
        base: ast.AST = node.value
        self.used.setdefault(id(base), "value")
        while isinstance(base, ast.Attribute) and isinstance(self.scopes.evaluate(base), Ref):
            base = base.value  # inner parts of a dotted path say nothing more
        self.visit(base)

    def visit_Name(self, node: ast.Name) -> None:
        self.uses.star(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        self.texts.compare(node)
        if not isinstance(node.ops[0], ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
            self.used[id(node.left)] = "value"
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # docstrings promise nothing
            self.used[id(node.value)] = "statement"
            self.visit(node.value)

    def visit_Await(self, node: ast.Await) -> None:
        self.used[id(node.value)] = "await"
        self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.used[id(node.value)] = "item"
        self.uses.looked_up(node)
        if isinstance(node.ctx, ast.Load):
            self.protocol(node.value, "__getitem__")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self.used[id(node.left)] = self.used[id(node.right)] = "value"
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.uses.assigned(node.target, node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.texts.string(node, node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self.texts.joined(node)
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                self.visit(value.value)
