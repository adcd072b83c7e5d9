"""Which names hold instances of the package's classes: by annotations, and by classes that derive from them."""

import ast

from .code import Class
from .codebase import External
from .scopes import Inst, Items, Ref, Scopes
from .syntax import alternatives, last_name

_CONTAINERS = {"list", "tuple", "set", "frozenset", "sequence", "iterable", "iterator", "collection", "generator"}


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
        for node in ast.walk(annotation) if annotation is not None else ():
            if isinstance(node, ast.Subscript) and last_name(node.value).lower() in _CONTAINERS:
                inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
                if (meant := self.annotated(inner)) is not None:
                    return Items(meant.path)
        return None

    def element(self, container: ast.expr) -> Inst | None:
        """What iterating over an expression gives."""
        meant = self.scopes.evaluate(container)
        return Inst(meant.path) if isinstance(meant, Items) else None
