"""Facts of callables: the order of their arguments, and each argument's kind, default, type and accepted values."""

import ast
import re
from collections.abc import Iterator

import griffe

from .annotations import choices, type_text
from .bodies import Bodies
from .facts import UNTOLD, Fact, Origin, make_fact
from .resolve import Resolver
from .values import parse_expression, value_text

_DECORATOR = re.compile(r"(deprecat|renam)\w*_?(kwarg|arg|param)|(kwarg|arg|param)\w*_?(deprecat|renam)", re.I)

_PLAIN = ("staticmethod", "classmethod", "property", "abstractmethod")
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
    function: griffe.Function,
    owner: str,
    bound: bool,
    resolver: Resolver,
    inherited: str | None = None,
    bodies: Bodies | None = None,
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
    yield from _named_by_keywords(function, owner, resolver, inherited, bodies)
    for old, new, until in _renamed_by_decorator(function):
        yield make_fact("param", owner, old, origin, kind="deprecated", to=new, until=until, from_=inherited)
    for name, until in _deprecated_by_decorator(function):
        yield make_fact("deprecation", owner, name, origin, until=until, via="FutureWarning")


def _named_by_keywords(
    function: griffe.Function, owner: str, resolver: Resolver, inherited: str | None, bodies: Bodies | None
) -> Iterator[Fact]:
    """What `**kwargs` takes by name: the keys of its `Unpack[...]`, and what the body reads from it (`seen=code`)."""
    keywords = next((p for p in function.parameters if p.kind is griffe.ParameterKind.var_keyword), None)
    if keywords is None:
        return
    scope = function.parent if function.parent is not None else function.module
    known = {parameter.name for parameter in function.parameters}
    for name, attribute in unpacked(keywords.annotation, scope, resolver).items():
        if name not in known:
            type_ = type_text(attribute.annotation, attribute.parent or scope, resolver)
            origin = resolver.tree.origin(function)
            details = {"kind": "keyword-only", "default": UNTOLD, "type": type_, "from_": inherited}
            yield make_fact("param", owner, name, origin, **details)
            known.add(name)
    for name, origin in _taken(function, resolver, bodies) if bodies is not None else ():
        if name not in known:
            known.add(name)
            details = {"kind": "keyword-only", "default": UNTOLD, "seen": "code", "from_": inherited}
            yield make_fact("param", owner, name, origin, **details)


def _taken(function: griffe.Function, resolver: Resolver, bodies: Bodies) -> Iterator[tuple[str, Origin]]:
    """What the body of a function reads from its `**kwargs`, and what decorators of this package take out before."""
    body, file = bodies.of(function), resolver.tree.origin(function).file
    yield from ((name, Origin(file, line)) for name, line in (body.taken.items() if body is not None else ()))
    for decorator in function.decorators:
        name = str(decorator.value).partition("(")[0]
        found = resolver.lookup(name, function.module) if name not in _PLAIN else None
        around = bodies.of(found) if isinstance(found, griffe.Function) else None
        if around is not None and isinstance(found, griffe.Function):
            place = resolver.tree.origin(found).file
            yield from ((name, Origin(place, line)) for name, line in around.taken_inside.items())


def unpacked(
    annotation: str | griffe.Expr | None, scope: griffe.Object, resolver: Resolver
) -> dict[str, griffe.Attribute]:
    """The keys of the dictionary type of this package in `**kwargs: Unpack[Options]`, those of its bases included."""
    node = parse_expression(str(annotation)) if annotation is not None else None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = parse_expression(node.value)
    if not isinstance(node, ast.Subscript) or ast.unparse(node.value).rpartition(".")[2] != "Unpack":
        return {}
    name = node.slice.value if isinstance(node.slice, ast.Constant) else ast.unparse(node.slice)
    found: dict[str, griffe.Attribute] = {}
    ahead = [(str(name), scope)]
    for name, place in ahead:  # grows while it is walked
        class_ = resolver.lookup(name, place)
        if isinstance(class_, griffe.Class):
            for member in class_.members.values():
                if isinstance(member, griffe.Attribute) and member.annotation is not None:
                    found.setdefault(member.name, member)
            ahead += [further for base in class_.bases if (further := (str(base), class_.module)) not in ahead]
    return found


def gives_of(function: griffe.Function, bodies: Bodies | None) -> str | None:
    """How many values a function returns, where bodies are read and every return says so."""
    body = bodies.of(function) if bodies is not None else None
    return body.gives if body is not None else None


def fingerprint_of(function: griffe.Function, bodies: Bodies | None) -> str | None:
    """What a renamed function keeps, where bodies are read."""
    body = bodies.of(function) if bodies is not None else None
    return body.fingerprint if body is not None else None


def takes_anything(function: griffe.Function, bound: bool) -> bool:
    """Whether its own signature says nothing: `(*args, **kwargs)`."""
    kinds = [_KINDS[parameter.kind] for parameter in parameters(function, bound)]
    return sorted(filter(None, kinds)) == ["args", "kwargs"] and len(kinds) == 2


def passed_on(function: griffe.Function, resolver: Resolver, bodies: Bodies) -> griffe.Function:
    """The function of this package that takes the arguments in its place, if it passes on all of them."""
    for _ in range(10):
        body = bodies.of(function) if takes_anything(function, False) else None
        callees = [ast.unparse(callee) for callee in body.forwards] if body is not None else []
        found = resolver.lookup(callees[0], function.module) if len(callees) == 1 else None
        if not isinstance(found, griffe.Function):
            break
        function = found
    return function


def _renamed_by_decorator(function: griffe.Function) -> Iterator[tuple[str, str, str | None]]:
    """Arguments that only a decorator still accepts: the old name, the new one, and the version that ends it.

    Any decorator counts whose name speaks of deprecated or renamed arguments and whose literals name one that the
    function has and one that it has not.
    """
    known = {parameter.name for parameter in function.parameters}
    for decorator in function.decorators:
        call = parse_expression(str(decorator.value))
        if not isinstance(call, ast.Call) or not _DECORATOR.search(ast.unparse(call.func).rpartition(".")[2]):
            continue
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        texts = [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]
        until = next((text for text in texts if re.fullmatch(r"v?\d+(\.\d+)+\S*", text)), None)
        pairs = {
            k.value: v.value
            for value in values
            if isinstance(value, ast.Dict)
            for k, v in zip(value.keys, value.values, strict=True)
            if isinstance(k, ast.Constant) and isinstance(v, ast.Constant)
        }
        new = next((text for text in texts if text in known), None)
        old = next((text for text in texts if text.isidentifier() and text not in known), None)
        pairs |= {old: new} if old and new else {}
        yield from ((str(a), str(b), until) for a, b in pairs.items() if a not in known and b in known)


def _deprecated_by_decorator(function: griffe.Function) -> Iterator[tuple[str, str | None]]:
    """Arguments that a decorator deprecates by a list of their names, with the version that it states."""
    known = {parameter.name for parameter in function.parameters}
    for decorator in function.decorators:
        call = parse_expression(str(decorator.value))
        if not isinstance(call, ast.Call) or not _DECORATOR.search(ast.unparse(call.func).rpartition(".")[2]):
            continue
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        texts = [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)]
        until = next((text for text in texts if re.fullmatch(r"v?\d+(\.\d+)+\S*", text)), None)
        for value in values:
            for item in value.elts if isinstance(value, ast.List | ast.Tuple | ast.Set) else ():
                if isinstance(item, ast.Constant) and item.value in known:
                    yield str(item.value), until


def choice_facts(owner: str, values: list[str], origin: Origin, inherited: str | None = None) -> Iterator[Fact]:
    for value in values:
        yield make_fact("choice", owner, value, origin, from_=inherited)
