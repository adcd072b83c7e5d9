"""Which arguments a class passes to its own methods: an override that does not take them fails when it is called."""

import ast
from collections import defaultdict

import griffe

from .bodies import Bodies
from .signatures import parameters


def passed_to_methods(lineage: list[griffe.Class], bodies: Bodies) -> dict[str, str]:
    """Method -> the arguments that calls on `self` pass to it, here and in the bases; `*` and `**` if splatted."""
    found: dict[str, set[str]] = defaultdict(set)
    methods: dict[str, griffe.Function] = {}
    for class_ in reversed(lineage):
        methods |= {name: member for name, member in class_.members.items() if isinstance(member, griffe.Function)}
    for class_ in lineage:
        for member in class_.members.values():
            body = bodies.of(member) if isinstance(member, griffe.Function) else None
            for call in body.calls if body is not None else ():
                name = call.func.attr  # type: ignore[attr-defined]  # a method of `self`, as bodies collect them
                if name in methods:
                    found[name] |= _passed(call, methods[name])
    return {name: ",".join(sorted(names)) for name, names in found.items()}


def _passed(call: ast.Call, method: griffe.Function) -> set[str]:
    names = [p.name for p in parameters(method, "staticmethod" not in method.labels)]
    positional = [argument for argument in call.args if not isinstance(argument, ast.Starred)]
    star = {"*"} if len(positional) < len(call.args) else set()
    return {*names[: len(positional)], *(keyword.arg or "**" for keyword in call.keywords), *star}
