"""Which names hold instances of the package's classes: by annotations, and by classes that derive from them."""

import ast
from collections.abc import Iterator

from .code import Class
from .codebase import External
from .functions import names_bound
from .meanings import CALL, ITEM, Held, Inst, Items, Meaning, Ref
from .results import contained
from .scopes import Scopes
from .syntax import alternatives, dotted, last_name


class Instances:
    """Questions to the scopes of one module."""

    def __init__(self, scopes: Scopes) -> None:
        self.scopes = scopes
        self._interesting: dict[str, bool] = {}

    def is_interesting(self, path: str) -> bool:
        """Whether a path is of the package, or of a class of the project that derives from it."""
        if self.scopes.is_package(path):
            return True
        if path not in self._interesting:
            inside = path.partition(".")[0] in self.scopes.codebase.tops and self.scopes.codebase.is_relevant(path)
            found = self.scopes.codebase.find(path) if inside else ()
            found = found or tuple(c for p, c in self.scopes.codebase.local_classes.items() if p == path)
            self._interesting[path] = any(
                isinstance(base, External) and self.scopes.is_package(base.path)
                for entity in found
                if isinstance(entity, Class)
                for base in self.scopes.codebase.chain(entity)
            )
        return self._interesting[path]

    def annotated(self, annotation: ast.expr | None) -> Ref | None:
        """The class of the package that an annotation names, through `X | None` and quotes."""
        for name in alternatives(annotation):
            meant = self.scopes.evaluate(name)
            if isinstance(meant, Ref) and self.is_interesting(meant.path):
                return meant
        return None

    def given(self, annotation: ast.expr | None) -> Inst | Items | None:
        """What an argument or variable with this annotation holds, if it is the package's."""
        if (meant := self.annotated(annotation)) is not None:
            return Inst(meant.path)
        inner, keyed = contained(annotation)
        meant = self.annotated(inner)
        return Items(meant.path, keyed) if meant is not None else None

    def element(self, container: ast.expr) -> Inst | Held | None:
        """What iterating over an expression gives."""
        meant = self.scopes.evaluate(container)
        if isinstance(meant, Held):
            return meant.then(ITEM) if meant.steps[-1] == CALL else None
        return Inst(meant.path) if isinstance(meant, Items) and not meant.keyed else None

    def second(self, container: ast.expr) -> Inst | Held | None:
        """The second of each pair that `d.items()` or `enumerate(xs)` gives."""
        if not isinstance(container, ast.Call):
            return None
        if isinstance(container.func, ast.Attribute) and container.func.attr == "items":
            meant = self.scopes.evaluate(container.func.value)
            return Inst(meant.path) if isinstance(meant, Items) and meant.keyed else None
        return self.element(container.args[0]) if last_name(container.func) == "enumerate" and container.args else None

    def set_by(
        self, method: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> Iterator[tuple[str, Inst | Held | Items | None]]:
        """What a method sets on `self`, as far as names of the module say; `None` says nothing."""
        arguments = [*method.args.posonlyargs, *method.args.args]
        own: set[str] | None = None
        for node in ast.walk(method) if arguments else ():
            if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
                continue
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if not isinstance(target, ast.Attribute) or last_name(target.value) != arguments[0].arg:
                continue
            if isinstance(node.value, ast.Constant) and node.value.value is None:
                continue
            own = names_bound(method) if own is None else own
            name = dotted(node.value.func) if isinstance(node.value, ast.Call) else None
            meant: Inst | Held | Items | None = None
            if isinstance(node, ast.AnnAssign):
                meant = self.given(node.annotation)
            if meant is None and name is not None and name.partition(".")[0] not in own:
                found = self.scopes.evaluate(node.value)
                meant = (
                    found if isinstance(found, Inst) or (isinstance(found, Held) and found.start == "path") else None
                )
            yield target.attr, meant

    def declared(self, node: ast.ClassDef) -> Iterator[tuple[str, Meaning]]:
        """Attributes that a class declares, or that its methods set: all to the same, and before they are met."""
        found: dict[str, set[Inst | Held | Items | None]] = {}
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
                for name, meant in self.set_by(statement):
                    found.setdefault(name, set()).add(meant)
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                found.setdefault(statement.target.id, set()).add(self.given(statement.annotation))
            elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                made = self.scopes.evaluate(statement.value) if isinstance(statement.value, ast.Call) else None
                found.setdefault(statement.targets[0].id, set()).add(made if isinstance(made, Inst | Held) else None)
        for name, meanings in found.items():
            if len(meanings) == 1 and (only := meanings.pop()) is not None:
                yield name, only
