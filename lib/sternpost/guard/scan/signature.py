"""What a callable takes and gives: its arguments, which calls it accepts, and the shapes of its results."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from ..facts import UNTOLD

MAX_DEFAULT = 80
"""Longer defaults are cut in sentences."""
_FIELDS = ("field", "Field", "ib", "attrib")
"""What dataclasses, pydantic and attrs call that which says more about a field."""


@dataclass(frozen=True)
class Argument:
    """One argument. `default` is its source text; None if it must be given."""

    name: str
    default: str | None = None
    positional: bool = True
    by_name: bool = True


@dataclass(frozen=True)
class Signature:
    """Arguments in order; `more` and `named` say whether it takes `*args` and `**kwargs`."""

    arguments: tuple[Argument, ...] = ()
    more: bool = False
    named: bool = False
    aliases: frozenset[str] = frozenset()
    """Old names that a deprecation decorator still accepts."""

    @classmethod
    def of(cls, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, bound: bool) -> "Signature":
        args = node.args
        ordinary = [*args.posonlyargs, *args.args]
        unnamed = [*args.posonlyargs, *takewhile(_is_positional_only, args.args[bound and not args.posonlyargs :])]
        defaults: list[ast.expr | None] = [None] * (len(ordinary) - len(args.defaults))
        found = [
            Argument(a.arg, None if d is None else default_text(d), True, a not in unnamed)
            for a, d in zip(ordinary, [*defaults, *args.defaults])
        ]
        found = found[1:] if bound else found
        found += [
            Argument(a.arg, None if d is None else default_text(d), False)
            for a, d in zip(args.kwonlyargs, args.kw_defaults)
        ]
        aliases = frozenset() if isinstance(node, ast.Lambda) else frozenset(_accepted_aliases(node))
        return cls(tuple(found), args.vararg is not None, args.kwarg is not None, aliases)

    @property
    def is_open(self) -> bool:
        """Whether it names nothing and takes everything: a wrapper that passes on."""
        return not self.arguments and self.more and self.named

    def handing_on(self, base: "Signature") -> "Signature":
        """That of a constructor which gives what it does not know to its base; what it gives it itself is not asked."""
        names = {argument.name for argument in self.arguments}
        others = [a for a in base.arguments if a.by_name and a.name not in names]
        handed = (replace(a, default=UNTOLD, positional=False) for a in others)
        return Signature((*self.arguments, *handed), self.more, base.named, self.aliases | base.aliases)

    def get(self, name: str) -> Argument | None:
        return next((a for a in self.arguments if a.name == name), None)

    @property
    def positional(self) -> list[str]:
        return [a.name for a in self.arguments if a.positional]

    def accepts(self, keyword: str) -> bool:
        argument = self.get(keyword)
        return self.named or keyword in self.aliases or (argument is not None and argument.by_name)

    def shown(self) -> str:
        """As in a `def`, without annotations."""
        parts, starred = [], False
        for argument in self.arguments:
            if not argument.positional and not starred:
                parts.append("*args" if self.more else "*")
                starred = True
            parts.append(argument.name + ("" if argument.default is None else f"={argument.default}"))
        parts += ["*args"] if self.more and not starred else []
        return f"({', '.join([*parts, *(['**kwargs'] if self.named else [])])})"


@dataclass(frozen=True)
class Shape:
    """How a call passes arguments: how many by position, which by name, and whether any are splatted."""

    count: int = 0
    keywords: tuple[str, ...] = ()
    splat: bool = False
    """There is a `*x`, so that `count` is a lower bound."""
    double: bool = False
    """There is a `**x` whose keys are not known."""

    @classmethod
    def of(cls, node: ast.Call, keys: Sequence[str] = (), open_keys: bool = True) -> "Shape":
        """`keys` are those of its splatted dictionaries; `open_keys`: there may be others."""
        plain = [a for a in node.args if not isinstance(a, ast.Starred)]
        double = any(k.arg is None for k in node.keywords)
        names = tuple(dict.fromkeys([*(k.arg for k in node.keywords if k.arg), *keys]))
        return cls(len(plain), names, len(plain) < len(node.args), double and open_keys)


@dataclass(frozen=True)
class Misfit:
    """One reason why a call does not fit: `unexpected`, `missing` or `too many`."""

    what: str
    name: str


def misfits(shape: Shape, signature: Signature) -> Iterator[Misfit]:
    """Every way in which a call cannot be made."""
    for keyword in shape.keywords:
        if not signature.accepts(keyword):
            yield Misfit("unexpected", keyword)
    positional = signature.positional
    if shape.count > len(positional) and not signature.more:
        yield Misfit("too many", str(shape.count))
    given = {*positional[: shape.count], *shape.keywords}
    if not shape.splat and not shape.double:
        for argument in signature.arguments:
            if argument.default is None and argument.name not in given:
                yield Misfit("missing", argument.name)


def _is_positional_only(argument: ast.arg) -> bool:
    """By its name `__x`, as it was written before `/` was there."""
    return argument.arg.startswith("__") and not argument.arg.endswith("__")


def default_text(node: ast.expr) -> str:
    """A default as a person reads it; `field(default=x)` is `x`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        if name in _FIELDS:
            for keyword in node.keywords:
                if keyword.arg == "default":
                    return default_text(keyword.value)
                if keyword.arg in ("default_factory", "factory"):
                    body = keyword.value.body if isinstance(keyword.value, ast.Lambda) else keyword.value
                    return _cut(ast.unparse(body))
            if node.args:
                return default_text(node.args[0])
    return _cut(ast.unparse(node))


def is_required(node: ast.expr | None) -> bool:
    """Whether a dataclass field with this value must be given."""
    if node is None:
        return True
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        first = node.args[0] if node.args else ast.Constant(...)  # of pydantic and attrs, where it is the default
        given = {"default", "default_factory", "factory"} & {keyword.arg for keyword in node.keywords}
        return name in _FIELDS and not given and isinstance(first, ast.Constant) and first.value is ...
    return False


def _cut(text: str) -> str:
    return text if len(text) <= MAX_DEFAULT else f"{text[: MAX_DEFAULT - 3]}..."


def _accepted_aliases(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Names in a decorator like `@deprecate_kwarg("old", ..., "new")`: the old one is accepted too."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and "deprecat" in ast.unparse(decorator.func).lower():
            for value in [*decorator.args, *(k.value for k in decorator.keywords)]:
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value.isidentifier():
                    yield value.value


def result_shapes(node: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    """The shapes of everything that a function returns: `2-tuple`, `dict`, `none`; `?` for what cannot be told."""
    shapes: set[str] = set()
    local: dict[str, str] = {}
    ahead: list[ast.AST] = list(node.body)
    returned: list[ast.expr | None] = []
    while ahead:
        here = ahead.pop()
        if isinstance(here, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(here, ast.Return):
            returned.append(here.value)
        if isinstance(here, ast.Yield | ast.YieldFrom):
            return frozenset({"?"})
        if isinstance(here, ast.Assign) and len(here.targets) == 1 and isinstance(here.targets[0], ast.Name):
            name, shape = here.targets[0].id, _shape(here.value, {})
            local[name] = shape if local.get(name, shape) == shape else "?"
        ahead.extend(ast.iter_child_nodes(here))
    for value in returned:
        shapes.add("none" if value is None else _shape(value, local))
    return frozenset(shapes)


def _shape(node: ast.expr, local: dict[str, str]) -> str:
    if isinstance(node, ast.Tuple):
        return "?" if any(isinstance(e, ast.Starred) for e in node.elts) else f"{len(node.elts)}-tuple"
    if isinstance(node, ast.Dict | ast.DictComp):
        return "dict"
    if isinstance(node, ast.Constant) and node.value is None:
        return "none"
    if isinstance(node, ast.Name):
        return local.get(node.id, "?")
    return "?"
