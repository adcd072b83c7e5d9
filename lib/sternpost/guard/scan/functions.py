"""Small questions to a function of the package: what it binds, returns and yields, which decorators change it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from .code import Function

CONTEXTS = {"contextmanager", "asynccontextmanager"}
"""Decorators that make a generator something for `with`."""
TRANSPARENT = {"staticmethod", "classmethod", "abstractmethod", "override", "final", "overload", "cache", "lru_cache"}
"""Decorators that leave what a function gives as it is."""


def names_bound(function: ast.AST) -> set[str]:
    """Names that a function binds itself."""
    nodes = list(ast.walk(function))
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    return stored | {node.arg for node in nodes if isinstance(node, ast.arg)}


@dataclass
class Body:
    """What a function binds, and where: names, and the targets of assignments by their identity."""

    names: set[str]
    assignments: dict[int, ast.Assign | ast.AnnAssign]


def body_of(function: Function, memo: dict[str, object]) -> Body:
    """Each is looked through once."""
    known = memo.setdefault("bodies", {})
    assert isinstance(known, dict)
    if function not in known:
        assignments: dict[int, ast.Assign | ast.AnnAssign] = {}
        for node in ast.walk(function.node):
            if isinstance(node, ast.Assign | ast.AnnAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    assignments[id(target)] = node
        known[function] = Body(names_bound(function.node), assignments)
    found = known[function]
    assert isinstance(found, Body)
    return found


def self_name(function: Function) -> str:
    """The first argument of a method; empty for other functions."""
    arguments = [*function.node.args.posonlyargs, *function.node.args.args]
    is_method = function.owner is not None and "staticmethod" not in function.decorators
    return arguments[0].arg if is_method and arguments else ""


def repeats_own_type(annotation: ast.expr | None, function: Function) -> bool:
    """Whether an annotation repeats the type variable that `self` or `cls` is annotated with."""
    arguments = [*function.node.args.posonlyargs, *function.node.args.args]
    if function.owner is None or not arguments or not isinstance(annotation, ast.Name):
        return False
    given = arguments[0].annotation
    given = given.slice if isinstance(given, ast.Subscript) else given
    return isinstance(given, ast.Name) and given.id == annotation.id


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function, those of functions and classes inside it left out."""
    ahead: list[ast.AST] = list(function.node.body)
    while ahead:
        node = ahead.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            ahead.extend(ast.iter_child_nodes(node))


def is_generator(function: Function) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function))


def returned(function: Function) -> list[ast.expr | None]:
    """What each of its `return` statements hands out."""
    return [node.value for node in own_nodes(function) if isinstance(node, ast.Return)]
