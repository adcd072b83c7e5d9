"""Statements under conditions: what is known of the package's version and of its names where each stands."""

import ast
from collections.abc import Sequence

from .code import Module, imports
from .contacts import FREE, Guard
from .guards import conditions, exception_names, handled, join
from .scopes import Scopes
from .syntax import last_name

_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)


class Flow(ast.NodeVisitor):
    """Visits statements in order; `guard` is what holds where the visitor stands."""

    def __init__(self, module: Module, scopes: Scopes) -> None:
        self.module = module
        self.package = scopes.package
        self.scopes = scopes
        self.guard: Guard = FREE

    def block(self, body: Sequence[ast.stmt]) -> None:
        """Statements in order; after `if x: return` the rest knows that `x` does not hold."""
        before = self.guard
        for node in body:
            self.visit(node)
            if isinstance(node, ast.If) and node.body and isinstance(node.body[-1], _LEAVES) and not node.orelse:
                self.guard = join(self.guard, self.known(node.test, False))
        self.guard = before

    def known(self, test: ast.expr, holds: bool) -> Guard:
        return conditions(test, self.package, self.scopes.assigned, holds)

    def _under(self, guard: Guard, body: Sequence[ast.stmt]) -> None:
        before = self.guard
        self.guard = join(before, guard)
        self.block(body)
        self.guard = before

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._under(self.known(node.test, True), node.body)
        self._under(self.known(node.test, False), node.orelse)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        before = self.guard
        for holds, value in ((True, node.body), (False, node.orelse)):
            self.guard = join(before, self.known(node.test, holds))
            self.visit(value)
        self.guard = before

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        before = self.guard
        for value in node.values:
            self.visit(value)
            self.guard = join(self.guard, self.known(value, isinstance(node.op, ast.And)))
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

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._under(self.known(node.test, True), node.body)
        self.block(node.orelse)
