"""Dictionaries with constant keys: what a literal holds, and what a statement puts into one."""

import ast
from collections.abc import Iterator

from .syntax import last_name


def constant_keys(node: ast.Dict) -> dict[str, ast.AST]:
    return {key.value: key for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def stores(node: ast.AST) -> Iterator[tuple[str, str, ast.AST]]:
    """Name, key and place of what puts a constant key into a named dictionary."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
                if isinstance(target.slice.value, str):
                    yield last_name(target.value), target.slice.value, target
            elif isinstance(target, ast.Name | ast.Attribute) and isinstance(node.value, ast.Dict):
                yield from ((last_name(target), key, place) for key, place in constant_keys(node.value).items())
            elif isinstance(target, ast.Name) and isinstance(node.value, ast.Call):
                if last_name(node.value.func) == "dict":
                    yield from ((target.id, k.arg, k.value) for k in node.value.keywords if k.arg)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = last_name(node.func.value)
        if node.func.attr == "update":
            yield from ((name, k.arg, k.value) for k in node.keywords if k.arg)
            for argument in node.args:
                if isinstance(argument, ast.Dict):
                    yield from ((name, key, place) for key, place in constant_keys(argument).items())
        elif node.func.attr == "setdefault" and node.args and isinstance(node.args[0], ast.Constant):
            if isinstance(node.args[0].value, str):
                yield name, node.args[0].value, node.args[0]
