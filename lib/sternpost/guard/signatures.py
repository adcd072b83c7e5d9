"""Facts of callables: the order of their arguments, and each argument's kind, default, type and accepted values."""

from collections.abc import Iterator

import griffe

from .annotations import choices, type_text
from .facts import Fact, Origin, make_fact
from .resolve import Resolver
from .values import value_text

_KINDS: dict[griffe.ParameterKind | None, str | None] = {
    None: None,
    griffe.ParameterKind.positional_only: "positional-only",
    griffe.ParameterKind.positional_or_keyword: None,
    griffe.ParameterKind.var_positional: "args",
    griffe.ParameterKind.keyword_only: "keyword-only",
    griffe.ParameterKind.var_keyword: "kwargs",
}


def parameters(function: griffe.Function, bound: bool) -> list[griffe.Parameter]:
    """The arguments that a caller passes: without `self` or `cls` if the function is `bound`."""
    found = list(function.parameters)
    if (
        bound
        and found
        and found[0].kind in (griffe.ParameterKind.positional_only, griffe.ParameterKind.positional_or_keyword)
    ):
        return found[1:]
    return found


def order_of(function: griffe.Function, bound: bool) -> str:
    """Names of the arguments that can be passed by position, in order."""
    names = [p.name for p in parameters(function, bound) if _KINDS[p.kind] in (None, "positional-only")]
    return ",".join(names)


def param_facts(
    function: griffe.Function, owner: str, bound: bool, resolver: Resolver, inherited: str | None = None
) -> Iterator[Fact]:
    """One fact per argument, then the values that it accepts. `inherited` is the path of an inherited function."""
    scope = function.parent if function.parent is not None else function.module
    origin = resolver.tree.origin(function)
    for parameter in parameters(function, bound):
        kind = _KINDS[parameter.kind]
        name = {"args": "*", "kwargs": "**"}.get(kind or "", "") + parameter.name
        default = None
        if parameter.default is not None and kind not in ("args", "kwargs"):
            default = value_text(parameter.default, scope, resolver)
        type_ = type_text(parameter.annotation, scope, resolver)
        yield make_fact("param", owner, name, origin, kind=kind, default=default, type=type_, from_=inherited)
        accepted = choices(parameter.annotation, scope, resolver)
        source = f"{inherited}.{parameter.name}" if inherited else None
        yield from choice_facts(f"{owner}.{parameter.name}", accepted, origin, source)


def choice_facts(owner: str, values: list[str], origin: Origin, inherited: str | None = None) -> Iterator[Fact]:
    for value in values:
        yield make_fact("choice", owner, value, origin, from_=inherited)
