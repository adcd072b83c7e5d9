"""What bodies say without being run: what a callable refuses, and which options a configuration sets itself."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .code import Class, Function
from .syntax import last_name

MAX_SHOWN = 90
"""Characters of a message or value that are shown."""
_MAKERS = ("__init__", "__post_init__", "__new__")


@dataclass(frozen=True)
class Refusal:
    """One `raise` with a message of its own, and the test that it stands under."""

    error: str
    message: str
    when: str


def refusals(functions: Iterable[Function], memo: dict[str, list[Refusal]]) -> list[Refusal]:
    """Every `raise` of these functions, those of functions inside them left out. `memo` is one version's."""
    found: list[Refusal] = []
    for function in functions:
        if function.path not in memo:
            memo[function.path] = list(_raises(function.node.body, None))
        found += memo[function.path]
    return found


def new_refusals(before: list[Refusal], after: list[Refusal]) -> list[Refusal]:
    """Those whose message and whose test are both new: what was only worded or nested otherwise is no news."""
    messages = {refusal.message for refusal in before}
    tests = {refusal.when for refusal in before if refusal.when}
    return [refusal for refusal in after if refusal.message not in messages and refusal.when not in tests]


def makers(chain: Iterable[object]) -> list[Function]:
    """The functions that run when an instance of a class with this chain of bases is made."""
    members = [owner.members.get(name) for owner in chain if isinstance(owner, Class) for name in _MAKERS]
    return [member for member in members if isinstance(member, Function)]


def settled(chain: Iterable[object]) -> dict[str, set[str]]:
    """Attribute -> the expressions that `__post_init__` sets it to."""
    found: dict[str, set[str]] = {}
    for owner in chain:
        method = owner.members.get("__post_init__") if isinstance(owner, Class) else None
        for node in ast.walk(method.node) if isinstance(method, Function) else ():
            for target in node.targets if isinstance(node, ast.Assign) else ():
                if isinstance(target, ast.Attribute) and last_name(target.value) == "self":
                    found.setdefault(target.attr, set()).add(_cut(ast.unparse(node.value)))  # type: ignore[attr-defined]
    return found


def _raises(body: Sequence[ast.stmt], when: ast.expr | None) -> Iterator[Refusal]:
    for node in body:
        if isinstance(node, ast.Raise):
            yield from _refusal(node, "" if when is None else ast.unparse(when))
        elif isinstance(node, ast.If):
            yield from _raises(node.body, node.test)
            yield from _raises(node.orelse, ast.UnaryOp(ast.Not(), node.test))
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            handlers = [handler.body for handler in getattr(node, "handlers", ())]
            for block in (getattr(node, "body", []), getattr(node, "orelse", []), *handlers):
                yield from _raises(block, when)


def _refusal(node: ast.Raise, when: str) -> Iterator[Refusal]:
    call = node.exc
    if isinstance(call, ast.Call) and call.args:
        parts = [p.value for p in ast.walk(call.args[0]) if isinstance(p, ast.Constant) and isinstance(p.value, str)]
        yield Refusal(last_name(call.func), _cut(" ".join("...".join(parts).split())), when)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
