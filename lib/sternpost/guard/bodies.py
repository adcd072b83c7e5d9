"""What the bodies of functions tell: keys of metrics and rows, arity of results, accepted values, deprecations.

griffe keeps signatures only, so bodies are read from the syntax tree of their module. What is read here was never
promised; it is recorded because dashboards, collators and subclasses rely on it all the same.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import griffe

from .sources import Tree

_METRICS = re.compile(r"(^|_)(metrics?|stats|logs)$")
_ROWS = re.compile(
    r"(^|_)(batch|inputs|examples?|features?|rows?|samples?|elements?|outputs?|tokens|tokenized|encoded|dataset)$"
)
_LOGGERS = re.compile(r"(^|_)(log|log_metrics|store_metrics|record_metrics)$")
_DEPRECATED = re.compile(r"deprecat|will be removed|is removed in|removed in (version|v?\d)", re.I)
_DUE = re.compile(r"\bv?(\d+\.\d+(?:\.\d+)?)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Warned:
    """What is told when the code runs, by a warning or in the log."""

    message: str
    via: str
    """The class of the warning, or `log`."""
    guard: str
    """The test under which it is told, as source."""
    line: int

    @property
    def deprecates(self) -> bool:
        return _DEPRECATED.search(self.message) is not None


@dataclass
class Body:
    """What one function does, as far as it can be read."""

    returns: list[ast.expr | None] = field(default_factory=list)
    yields: bool = False
    forwards: list[ast.expr] = field(default_factory=list)
    """What is called with all arguments as they came: `f(*args, **kwargs)`."""
    metrics: dict[str, int] = field(default_factory=dict)
    """Key -> line; `*` stands for what an f-string puts in."""
    keys: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, dict[str, int]] = field(default_factory=dict)
    """Name of a variable or attribute -> the strings that it is compared with or looked up among -> line."""
    warned: list[Warned] = field(default_factory=list)
    parsers: dict[str, int] = field(default_factory=dict)
    """Commands that are added to a command line."""
    flags: dict[str, int] = field(default_factory=dict)

    @property
    def gives(self) -> str | None:
        """How many values every return hands out, if all of them are written out and agree."""
        values = [value for value in self.returns if value is not None]
        if self.yields or not values or not all(isinstance(value, ast.Tuple) for value in values):
            return None
        sizes = {len(value.elts) for value in values if isinstance(value, ast.Tuple)}
        starred = any(isinstance(item, ast.Starred) for value in values for item in getattr(value, "elts", ()))
        return str(sizes.pop()) if len(sizes) == 1 and not starred else None


class Bodies:
    """The bodies of one package, each read when first asked for."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._functions: dict[str, dict[str, Function]] = {}
        self._bodies: dict[tuple[str, str], Body] = {}

    def of(self, function: griffe.Function) -> Body | None:
        """The body of a function or method; None if it cannot be found."""
        module = function.module.path
        return self.at(module, function.path[len(module) + 1 :])

    def at(self, module: str, name: str) -> Body | None:
        """The body of `name` (`Class.method` or `function`) of a module."""
        node = self.functions(module).get(name)
        if node is None:
            return None
        if (module, name) not in self._bodies:
            self._bodies[module, name] = _Reader().read(node)
        return self._bodies[module, name]

    def functions(self, module: str) -> dict[str, Function]:
        """Every function of a module and every method of its classes, by name; of a redefined one the last."""
        if module not in self._functions:
            syntax = self.tree.syntax(module)
            self._functions[module] = dict(_functions(syntax.body, "")) if syntax is not None else {}
        return self._functions[module]


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Function]]:
    for node in body:
        if isinstance(node, Function):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from _functions(getattr(node, part, []), prefix)
            for handler in getattr(node, "handlers", []):
                yield from _functions(handler.body, prefix)


class _Reader:
    """One walk over one body."""

    def __init__(self) -> None:
        self.body = Body()
        self.handled: set[int] = set()

    def read(self, node: Function) -> Body:
        try:
            for statement in node.body:
                self._walk(statement, "", False)
        except RecursionError:  # what was seen until then is true
            pass
        return self.body

    def _walk(self, node: ast.AST, guard: str, nested: bool) -> None:
        kind = type(node)
        if kind in (ast.Constant, ast.Name, ast.Pass, ast.Load, ast.Store):
            return
        inside = guard
        if kind is ast.Return and not nested:
            self.body.returns.append(node.value)  # type: ignore[attr-defined]
            self._returned(node.value)  # type: ignore[attr-defined]
        elif kind is ast.Return:
            self._returned(node.value)  # type: ignore[attr-defined]
        elif kind in (ast.Yield, ast.YieldFrom):
            self.body.yields |= not nested
        elif kind is ast.Subscript and id(node) not in self.handled:
            self._subscript(node)  # type: ignore[arg-type]
        elif kind is ast.Call:
            self._call(node, guard)  # type: ignore[arg-type]
        elif kind is ast.Compare:
            self._compare(node)  # type: ignore[arg-type]
        elif kind in (ast.Assign, ast.AnnAssign):
            self._assign(node)  # type: ignore[arg-type]
        elif kind is ast.If:
            self._if(node, nested)  # type: ignore[arg-type]
            return
        elif kind is ast.Match:
            self._match(node)  # type: ignore[arg-type]
        nested = nested or kind in (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        for child in ast.iter_child_nodes(node):
            self._walk(child, inside, nested)

    def _if(self, node: ast.If, nested: bool) -> None:
        self._walk(node.test, "", nested)
        test = ast.unparse(node.test) if _mentions_warning(node.body) else ""
        for statement in node.body:
            self._walk(statement, test, nested)
        for statement in node.orelse:
            self._walk(statement, "", nested)

    def _returned(self, value: ast.expr | None) -> None:
        if isinstance(value, ast.Dict):
            self._dictionary(value, self.body.keys)

    def _assign(self, node: ast.Assign | ast.AnnAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            container = self._container(_last(target))
            if container is not None and isinstance(node.value, ast.Dict):
                self._dictionary(node.value, container)

    def _container(self, name: str) -> dict[str, int] | None:
        if _METRICS.search(name):
            return self.body.metrics
        return self.body.keys if _ROWS.search(name) else None

    def _subscript(self, node: ast.Subscript) -> None:
        """`metrics["kl"]`, `self._metrics[mode]["kl"]`, `batch["input_ids"]`; a table looked up by an option."""
        key = _text(node.slice)
        if key is not None:
            base: ast.expr = node.value
            while isinstance(base, ast.Subscript):
                self.handled.add(id(base))  # of `metrics["train"]["kl"]` the last key counts
                base = base.value
            container = self._container(_last(base))
            if container is not None and key.strip("*"):
                container.setdefault(key, node.lineno)
        elif isinstance(node.value, ast.Dict) and (name := _last(node.slice)):
            for entry in node.value.keys:
                if isinstance(entry, ast.Constant) and isinstance(entry.value, str):
                    self.body.accepted.setdefault(name, {}).setdefault(entry.value, entry.lineno)

    def _call(self, node: ast.Call, guard: str) -> None:
        if any(isinstance(a, ast.Starred) for a in node.args) and any(k.arg is None for k in node.keywords):
            self.body.forwards.append(node.func)
        name = _last(node.func)
        owner = _last(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if _LOGGERS.search(name) or (name == "update" and _METRICS.search(owner)):
            for argument in node.args:
                if isinstance(argument, ast.Dict):
                    self._dictionary(argument, self.body.metrics)
        elif name in ("get", "pop", "setdefault") and node.args and (key := _text(node.args[0])):
            container = self._container(owner)
            if container is not None and key.strip("*"):
                container.setdefault(key, node.lineno)
        elif name == "add_parser" and node.args and (command := _text(node.args[0])):
            self.body.parsers.setdefault(command, node.lineno)
        elif name == "add_argument":
            for argument in node.args:
                if (flag := _text(argument)) and flag.startswith("--"):
                    self.body.flags.setdefault(flag, node.lineno)
        elif name in ("warn", "warning", "warning_once", "warn_once", "warn_deprecated", "error", "info"):
            self._warning(node, name, owner, guard)

    def _warning(self, node: ast.Call, name: str, owner: str, guard: str) -> None:
        message = _text(node.args[0]) if node.args else None
        if message is None or not message.strip("*"):
            return
        given = [*node.args[1:], *(keyword.value for keyword in node.keywords if keyword.arg == "category")]
        category = next((_last(value) for value in given if _last(value).endswith("Warning")), "UserWarning")
        via = category if name == "warn" and owner not in ("logger", "log", "logging", "_logger") else "log"
        self.body.warned.append(Warned(message, via, guard, node.lineno))

    def _compare(self, node: ast.Compare) -> None:
        """`loss_type == "sigmoid"`, `self.args.loss_type in ["sigmoid", "hinge"]`, `"kl" in metrics`."""
        if len(node.ops) != 1:
            return
        left, right = node.left, node.comparators[0]
        if isinstance(node.ops[0], ast.In | ast.NotIn) and (key := _text(left)) and key.strip("*"):
            container = self._container(_last(right))
            if container is not None:
                container.setdefault(key, node.lineno)
        if not isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn) or not (name := _last(left)):
            return
        values = right.elts if isinstance(right, ast.List | ast.Tuple | ast.Set) else [right]
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                self.body.accepted.setdefault(name, {}).setdefault(value.value, value.lineno)

    def _match(self, node: ast.Match) -> None:
        name = _last(node.subject)
        for case in node.cases if name else ():
            patterns = case.pattern.patterns if isinstance(case.pattern, ast.MatchOr) else [case.pattern]
            for pattern in patterns:
                value = pattern.value if isinstance(pattern, ast.MatchValue) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    self.body.accepted.setdefault(name, {}).setdefault(value.value, value.lineno)

    def _dictionary(self, node: ast.Dict, into: dict[str, int]) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            text = _text(key) if key is not None else None
            if isinstance(value, ast.Dict) or (isinstance(value, ast.Call) and _last(value.func).endswith("dict")):
                continue  # a part of a container, `{"train": defaultdict(list)}`
            if text and text.strip("*"):
                into.setdefault(text, node.lineno)


def announced(message: str) -> str | None:
    """The version that a deprecation names as the one that removes."""
    tail = re.split(r"remov|drop|no longer|unsupported|error", message, maxsplit=1, flags=re.I)
    found = _DUE.search(tail[1]) if len(tail) > 1 else None
    found = found or _DUE.search(message)
    return found[1] if found else None


def _mentions_warning(body: list[ast.stmt]) -> bool:
    return any(isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) for statement in body)


def _text(node: ast.expr | None) -> str | None:
    """A string with `*` for what an f-string puts in; None if it is no string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = (str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
        return re.sub(r"\*+", "*", "".join(parts))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None and right is None else f"{'*' if left is None else left}{right or '*'}"
    return None


def _last(node: ast.AST | None) -> str:
    """The last part of a dotted name; empty if it is none."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
