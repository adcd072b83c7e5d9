"""One pass over a module of the project: every place that touches the package, with the conditions around it."""

import ast
from collections.abc import Sequence
from typing import Any

from .code import Class, Module, imports
from .codebase import Codebase, External
from .contacts import FREE, Contact, Guard, Place
from .guards import conditions, exception_names, handled, join
from .scopes import UNKNOWN, Inst, Keys, Meaning, Ref, Scopes, SelfOf
from .syntax import last_name, tuple_size
from .texts import TextReader
from .uses import Uses

_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Walker(ast.NodeVisitor):
    """Collects the contacts of one module; `contacts` grows while it walks."""

    def __init__(self, module: Module, codebase: Codebase, package: str) -> None:
        self.module = module
        self.package = package
        self.codebase = codebase
        self.contacts: list[Contact] = []
        self.classes: list[Class] = []
        self.guard: Guard = FREE
        self.owner: Class | None = None
        self.method = ""
        self.depth = 0
        self.guard_of: dict[int, Guard] = {}
        self.all_imports = [n for n in ast.walk(module.tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        self.scopes = Scopes(module, codebase, package)
        self.uses = Uses(self)
        self.texts = TextReader(self)

    def run(self) -> None:
        self.block(self.module.tree.body)

    def add(self, kind: str, path: str, node: ast.AST, name: str = "", **more: Any) -> Contact:
        place = Place(self.module.file, getattr(node, "lineno", 1), getattr(node, "col_offset", 0))
        given: dict[str, Any] = {"guard": self.guard, "class_": self.owner.path if self.owner else ""}
        given |= {"method": self.method} | more
        contact = Contact(kind, path, place, name, **given)
        self.contacts.append(contact)
        return contact

    # ---- Statements

    def block(self, body: Sequence[ast.stmt]) -> None:
        """Statements in order; after `if x: return` the rest knows that `x` does not hold."""
        before = self.guard
        for node in body:
            self.visit(node)
            if isinstance(node, ast.If) and node.body and isinstance(node.body[-1], _LEAVES) and not node.orelse:
                self.guard = join(self.guard, self._known(node.test, False))
        self.guard = before

    def _known(self, test: ast.expr, holds: bool) -> Guard:
        return conditions(test, self.package, self.scopes.assigned, holds)

    def _under(self, guard: Guard, body: Sequence[ast.stmt]) -> None:
        before = self.guard
        self.guard = join(before, guard)
        self.block(body)
        self.guard = before

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._under(self._known(node.test, True), node.body)
        self._under(self._known(node.test, False), node.orelse)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        before = self.guard
        for holds, value in ((True, node.body), (False, node.orelse)):
            self.guard = join(before, self._known(node.test, holds))
            self.visit(value)
        self.guard = before

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        before = self.guard
        for value in node.values:
            self.visit(value)
            self.guard = join(self.guard, self._known(value, isinstance(node.op, ast.And)))
        self.guard = before

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        tried = tuple(self._package_imports(node.body))
        instead = tuple(path for handler in node.handlers for path in self._package_imports(handler.body))
        self._under(Guard(caught=handled(node), instead=instead if tried else ()), node.body)
        for handler in node.handlers:
            imports_failed = bool(
                exception_names(handler.type) & {"ImportError", "ModuleNotFoundError", "Exception", "*"}
            )
            self._under(Guard(failed=tried if imports_failed else ()), handler.body)
        self.block(node.orelse)
        self.block(node.finalbody)

    visit_TryStar = visit_Try  # noqa: N815  # ast names it

    def _package_imports(self, body: Sequence[ast.stmt]) -> list[str]:
        found = []
        for statement in body:
            for node in ast.walk(statement) if not isinstance(statement, ast.FunctionDef | ast.ClassDef) else ():
                if isinstance(node, ast.Import | ast.ImportFrom):
                    found += [i.path for i in imports(node, self.module) if self.scopes.is_package(i.path)]
        return found

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        guard = Guard()
        for item in node.items:
            self.visit(item.context_expr)
            call = item.context_expr
            if isinstance(call, ast.Call) and last_name(call.func) == "suppress":
                names = {name for argument in call.args for name in exception_names(argument)}
                guard = join(guard, Guard(caught=frozenset(names)))
            if isinstance(item.optional_vars, ast.Name):
                self.scopes.bind(item.optional_vars.id, self.scopes.evaluate(call))
        self._under(guard, node.body)

    visit_AsyncWith = visit_With  # noqa: N815

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        for name in ast.walk(node.target):
            if isinstance(name, ast.Name):
                self.scopes.bind(name.id, None)
        self.block(node.body)
        self.block(node.orelse)

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._under(self._known(node.test, True), node.body)
        self.block(node.orelse)

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
        self.block(node.body)
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
        self.block(node.body)
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
            meant = self.uses.annotated(argument.annotation)
            found[argument.arg] = Inst(meant.path) if isinstance(meant, Ref) else UNKNOWN
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
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.uses.assigned(node.target, node.value)
        elif isinstance(node.target, ast.Name) and len(self.scopes.stack) > 1:
            meant = self.uses.annotated(node.annotation)
            self.scopes.bind(node.target.id, Inst(meant.path) if isinstance(meant, Ref) else None)

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
            self.visit(node.func.value)
            if not self.uses.was_called(node):
                self.uses.attribute(node.func)
        else:
            self.visit(node.func)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.uses.attribute(node)
        base: ast.AST = node.value
        while isinstance(base, ast.Attribute) and isinstance(self.scopes.evaluate(base), Ref):
            base = base.value  # inner parts of a dotted path say nothing more
        self.visit(base)

    def visit_Name(self, node: ast.Name) -> None:
        self.uses.star(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        self.texts.compare(node)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # docstrings promise nothing
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.texts.string(node, node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self.texts.joined(node)
        for value in node.values:
            if isinstance(value, ast.FormattedValue):
                self.visit(value.value)
