"""Statements under conditions: what is known of the package's version and of its names where each stands."""

import ast
from collections.abc import Sequence

from .closed import closing_of
from .code import Module, imports
from .contacts import FREE, Guard
from .guards import conditions, exception_names, handled, join
from .meanings import Inst, Ref
from .scopes import Scopes
from .syntax import last_name, unquoted

_EXPECTING = ("raises", "assertRaises", "assertRaisesRegex")
"""What tests expect an exception with."""
_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_ENDING = ("skip", "skipTest", "exit", "_exit", "fail")
_SKIPPING = {"skipif": False, "skipIf": False, "skipUnless": True}
"""Decorators of tests, and what their condition is where the test runs."""


def _leaves(node: ast.stmt) -> bool:
    """Whether nothing behind a statement is reached."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return last_name(node.value.func) in _ENDING
    return isinstance(node, _LEAVES)


class Flow(ast.NodeVisitor):
    """Visits statements in order; `guard` is what holds where the visitor stands."""

    def __init__(self, module: Module, scopes: Scopes) -> None:
        self.module = module
        self.package = scopes.package
        self.scopes = scopes
        self.guard: Guard = FREE
        self.closing = closing_of(scopes.codebase, scopes.package)
        self._texts: dict[int, str] = {}
        self.used: dict[int, str] = {}
        """What is done with an expression: awaited, entered, looped over, looked up in, left alone."""
        self.checked_only = False
        """Where only type checkers read: nothing there fails when it runs."""

    def block(self, body: Sequence[ast.stmt]) -> None:
        """Statements in order; after `if x: return` the rest knows that `x` does not hold."""
        before = self.guard
        for node in body:
            self.visit(node)
            if isinstance(node, ast.If) and node.body and _leaves(node.body[-1]) and not node.orelse:
                self.guard = join(self.guard, self.known(node.test, False))
            elif isinstance(node, ast.Assert):
                self.guard = join(self.guard, self.known(node.test, True))
        self.guard = before

    def known(self, test: ast.expr, holds: bool) -> Guard:
        """What a test tells where it holds, or fails."""
        return conditions(test, self.package, self.scopes.assigned, holds, self._closed)

    def _closed(self, test: ast.expr) -> str:
        if id(test) not in self._texts:
            self._texts[id(test)] = self.closing.text(test, self.scopes)
        return self._texts[id(test)]

    def skipping(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Guard:
        """What the decorators of a test say: under which condition it is skipped, whether it may fail."""
        guard = FREE
        for decorator in node.decorator_list:
            name = last_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
            if name in _SKIPPING and isinstance(decorator, ast.Call) and decorator.args:
                guard = join(guard, self.known(decorator.args[0], _SKIPPING[name]))
            elif name in ("xfail", "expectedFailure"):
                guard = join(guard, Guard(caught=frozenset({"Exception"})))
        return guard

    def _under(self, guard: Guard, body: Sequence[ast.stmt]) -> None:
        before = self.guard
        self.guard = join(before, guard)
        self.block(body)
        self.guard = before

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        before = self.checked_only
        self.checked_only = before or last_name(node.test) == "TYPE_CHECKING"
        self._under(self.known(node.test, True), node.body)
        self.checked_only = before
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
            self._handler_type(handler)
            self._under(Guard(failed=tried if imports_failed else ()), handler.body)
        self.block(node.orelse)
        self.block(node.finalbody)

    def _handler_type(self, handler: ast.ExceptHandler) -> None:
        """What is caught is named, and an instance of it gets a name."""
        if handler.type is not None:
            self.visit(handler.type)
        if handler.name is not None:
            caught = self.scopes.evaluate(handler.type)
            self.scopes.bind(handler.name, Inst(caught.path) if isinstance(caught, Ref) else None)

    visit_TryStar = visit_Try  # noqa: N815  # ast names it

    def _package_imports(self, body: Sequence[ast.stmt]) -> list[str]:
        found = []
        for statement in body:
            for node in ast.walk(statement) if not isinstance(statement, ast.FunctionDef | ast.ClassDef) else ():
                if isinstance(node, ast.Import | ast.ImportFrom):
                    found += [i.path for i in imports(node, self.module) if self.scopes.is_package(i.path)]
        return found

    def protocol(self, node: ast.expr, name: str) -> None:
        """A special method that a statement calls; walkers that look for contacts tell it."""

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        guard = Guard()
        for item in node.items:
            call = item.context_expr
            self.used[id(call)] = "async with" if isinstance(node, ast.AsyncWith) else "with"
            self.visit(call)
            self.protocol(call, "__aenter__" if isinstance(node, ast.AsyncWith) else "__enter__")
            if isinstance(call, ast.Call) and last_name(call.func) in (*_EXPECTING, "suppress"):
                expected = call.args[:1] if last_name(call.func) in _EXPECTING else call.args
                names = {name for argument in expected for name in exception_names(argument)}
                guard = join(guard, Guard(caught=frozenset(names)))
            if isinstance(item.optional_vars, ast.Name):
                self.scopes.bind(item.optional_vars.id, self.scopes.entered(call))
        self._under(guard, node.body)

    visit_AsyncWith = visit_With  # noqa: N815

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._under(self.known(node.test, True), node.body)
        self.block(node.orelse)

    def annotation(self, node: ast.expr | None, evaluated: bool, place: ast.expr | None = None) -> None:
        """What a type names; in quotes, and where annotations are postponed, only type checkers look it up."""
        if isinstance(node, ast.Constant):
            quoted = unquoted(node)
            self.annotation(quoted, False, place or node) if quoted is not None else None
        elif isinstance(node, ast.Attribute):
            for inner in ast.walk(node) if place is not None else ():
                ast.copy_location(inner, place) if place is not None else None
            before = self.checked_only
            self.checked_only = before or not evaluated
            self.visit(node)
            self.checked_only = before
        elif isinstance(node, ast.Subscript):
            self.annotation(node.value, evaluated, place)
            if last_name(node.value) != "Literal":
                self.annotation(node.slice, evaluated, place)
        elif isinstance(node, ast.BinOp | ast.Tuple | ast.List):
            for part in (node.left, node.right) if isinstance(node, ast.BinOp) else node.elts:
                self.annotation(part, evaluated, place)
