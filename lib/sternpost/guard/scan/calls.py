"""Calls that something else makes: `partial(f, 1)`, `Thread(target=f, kwargs={"b": 2})`."""

import ast

from .syntax import last_name

_FIRST = {"partial": 0, "partialmethod": 0, "to_thread": 0, "run_in_executor": 1}
"""Which of its arguments a function calls with those that follow."""
_RUNNERS = {"Thread", "Process"}


def call_passed_on(node: ast.Call) -> ast.Call | None:
    """The call that comes of it; where more arguments may be added, it ends with `**...`."""
    name = last_name(node.func)
    index = _FIRST.get(name)
    if index is not None and len(node.args) > index:
        more = [ast.keyword(None, ast.Constant(...))] if name.startswith("partial") else []
        return _made(node, node.args[index], node.args[index + 1 :], [*node.keywords, *more])
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if name not in _RUNNERS or "target" not in given:
        return None
    args, kwargs = given.get("args", ast.Tuple([])), given.get("kwargs", ast.Dict([], []))
    positional: list[ast.expr] = args.elts if isinstance(args, ast.Tuple | ast.List) else [ast.Starred(args)]
    return _made(node, given["target"], positional, [ast.keyword(None, kwargs)])


def _made(node: ast.Call, func: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]) -> ast.Call:
    return ast.copy_location(ast.Call(func, args, keywords), node)
