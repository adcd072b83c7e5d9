"""What the bodies of functions tell: keys of metrics and rows, arity of results, accepted values, deprecations.

griffe keeps signatures only, so bodies are read from the syntax tree of their module. What is read here was never
promised; it is recorded because dashboards, collators and subclasses rely on it all the same.
"""

import ast
import re
from collections.abc import Iterator

import griffe

from .body import Body, Warned
from .sources import Tree
from .words import deprecation_stated, last_of, mentions_call, text_of

_METRICS = re.compile(r"(^|_)(metrics?|stats|logs)$")
_ROWS = re.compile(
    r"(^|_)(batch|inputs|examples?|features?|rows?|samples?|elements?|outputs?|tokens|tokenized|encoded|dataset)$"
)
_DATA = re.compile(r"(^|_)(data|ds|rows|examples|samples)|dataset", re.I)
_LOGGERS = re.compile(r"(^|_)(log|log_metrics|store_metrics|record_metrics)$")

Function = ast.FunctionDef | ast.AsyncFunctionDef


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
        """Every function of a module and every method of its classes, by name; of a redefined one the last.

        The setter of a property `x` is `x.setter`.
        """
        if module not in self._functions:
            syntax = self.tree.syntax(module)
            self._functions[module] = dict(_functions(syntax.body, "")) if syntax is not None else {}
        return self._functions[module]


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Function]]:
    for node in body:
        if isinstance(node, Function):
            role = next((last_of(d) for d in node.decorator_list if last_of(d) in ("setter", "deleter")), "")
            yield f"{prefix}{node.name}" + (f".{role}" if role else ""), node
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
        self.keywords = ""
        """What the function calls its `**kwargs`."""
        self.inner: set[str] = set()
        """The same of the functions in it."""

    def read(self, node: Function) -> Body:
        self.keywords = node.args.kwarg.arg if node.args.kwarg is not None else ""
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
        if kind is ast.Attribute:
            self.body.words.add(node.attr)  # type: ignore[attr-defined]
        elif kind is ast.keyword and node.arg:  # type: ignore[attr-defined]
            self.body.words.add(node.arg)  # type: ignore[attr-defined]
        elif kind is ast.Return and not nested:
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
        elif kind is ast.Raise:
            self._raise(node, guard)  # type: ignore[arg-type]
        if kind in (ast.FunctionDef, ast.AsyncFunctionDef) and node.args.kwarg is not None:  # type: ignore[attr-defined]
            self.inner.add(node.args.kwarg.arg)  # type: ignore[attr-defined]
        nested = nested or kind in (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        for child in ast.iter_child_nodes(node):
            self._walk(child, inside, nested)

    def _if(self, node: ast.If, nested: bool) -> None:
        self._walk(node.test, "", nested)
        test = ast.unparse(node.test) if mentions_call(node.body) else ""
        for statement in node.body:
            self._walk(statement, test, nested)
        for statement in node.orelse:
            self._walk(statement, "", nested)

    def _take(self, source: ast.expr, key: str | None, line: int) -> None:
        """`kwargs.pop("size")`, `.get("size")`, `["size"]`: an argument that the signature does not name."""
        if isinstance(source, ast.Name) and key and key.isidentifier():
            if source.id in self.inner:
                self.body.taken_inside.setdefault(key, line)
            elif source.id == self.keywords:
                self.body.taken.setdefault(key, line)

    def _returned(self, value: ast.expr | None) -> None:
        if isinstance(value, ast.Dict):
            self._dictionary(value, self.body.keys)

    def _assign(self, node: ast.Assign | ast.AnnAssign) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            container = self._container(last_of(target))
            if container is not None and isinstance(node.value, ast.Dict):
                self._dictionary(node.value, container)

    def _container(self, name: str) -> dict[str, int] | None:
        if _METRICS.search(name):
            return self.body.metrics
        return self.body.keys if _ROWS.search(name) else None

    def _subscript(self, node: ast.Subscript) -> None:
        """`metrics["kl"]`, `self._metrics[mode]["kl"]`, `batch["input_ids"]`; a table looked up by an option."""
        key = text_of(node.slice)
        if key is not None and isinstance(node.ctx, ast.Load):
            self._take(node.value, key, node.lineno)
        if key is not None:
            base: ast.expr = node.value
            while isinstance(base, ast.Subscript):
                self.handled.add(id(base))  # of `metrics["train"]["kl"]` the last key counts
                base = base.value
            container = self._container(last_of(base))
            if container is not None and key.strip("*"):
                container.setdefault(key, node.lineno)
        elif isinstance(node.value, ast.Name | ast.Attribute) and (name := last_of(node.slice)):
            if self._container(last_of(node.value)) is None:
                self.body.tables.setdefault(name, {}).setdefault(ast.unparse(node.value), node.lineno)
        elif isinstance(node.value, ast.Dict) and (name := last_of(node.slice)):
            for entry in node.value.keys:
                if isinstance(entry, ast.Constant) and isinstance(entry.value, str):
                    self.body.accepted.setdefault(name, {}).setdefault(entry.value, entry.lineno)

    def _call(self, node: ast.Call, guard: str) -> None:
        if any(isinstance(a, ast.Starred) for a in node.args) and any(k.arg is None for k in node.keywords):
            self.body.forwards.append(node.func)
        name = last_of(node.func)
        self.body.words.add(name)
        owner = last_of(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if name in ("get", "pop") and node.args and isinstance(node.func, ast.Attribute):
            self._take(node.func.value, text_of(node.args[0]), node.lineno)
        if _LOGGERS.search(name) or (name == "update" and _METRICS.search(owner)):
            for argument in node.args:
                if isinstance(argument, ast.Dict):
                    self._dictionary(argument, self.body.metrics)
        elif name in ("get", "pop", "setdefault") and node.args and (key := text_of(node.args[0])):
            container = self._container(owner)
            if container is not None and key.strip("*"):
                container.setdefault(key, node.lineno)
        elif name == "add_parser" and node.args and (command := text_of(node.args[0])):
            self.body.parsers.setdefault(command, node.lineno)
        elif name == "add_argument":
            for argument in node.args:
                if (flag := text_of(argument)) and flag.startswith("--"):
                    self.body.flags.setdefault(flag, node.lineno)
        elif "deprecat" in name.lower() and (stated := deprecation_stated(node)):
            words = " ".join(f"`{text}`" for argument in node.args if (text := text_of(argument)))
            self.body.warned.append(Warned(words, "FutureWarning", guard, node.lineno, stated))
        elif name in ("warn", "warning", "warning_once", "warn_once", "warn_deprecated", "error", "info"):
            self._warning(node, name, owner, guard)
        elif name == "filter" and _DATA.search(owner):
            self._filter(node)
        elif owner == "self" and isinstance(node.func, ast.Attribute):
            self.body.calls.append(node)

    def _warning(self, node: ast.Call, name: str, owner: str, guard: str) -> None:
        message = text_of(node.args[0]) if node.args else None
        if message is None or not message.strip("*"):
            return
        given = [*node.args[1:], *(keyword.value for keyword in node.keywords if keyword.arg == "category")]
        category = next((last_of(value) for value in given if last_of(value).endswith("Warning")), "UserWarning")
        via = category if name == "warn" and owner not in ("logger", "log", "logging", "_logger") else "log"
        self.body.warned.append(Warned(message, via, guard, node.lineno))

    def _raise(self, node: ast.Raise, guard: str) -> None:
        if isinstance(node.exc, ast.Call) and node.exc.args and (message := text_of(node.exc.args[0])):
            self.body.raised.append(Warned(message, last_of(node.exc.func), guard, node.lineno))

    def _filter(self, node: ast.Call) -> None:
        """Rows that `dataset.filter(...)` drops: by its `desc`, or by the test itself."""
        told = next((text_of(keyword.value) for keyword in node.keywords if keyword.arg == "desc"), None)
        test = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "function"), None)
        if isinstance(test, ast.Lambda):
            test = test.body
        words = told or (ast.unparse(test) if test is not None else "")
        if words.strip("*"):
            self.body.dropped.setdefault(words, node.lineno)

    def _compare(self, node: ast.Compare) -> None:
        """`loss_type == "sigmoid"`, `self.args.loss_type in ["sigmoid", "hinge"]`, `"kl" in metrics`."""
        if len(node.ops) != 1:
            return
        left, right = node.left, node.comparators[0]
        if isinstance(node.ops[0], ast.In | ast.NotIn) and (key := text_of(left)) and key.strip("*"):
            container = self._container(last_of(right))
            if container is not None:
                container.setdefault(key, node.lineno)
        if not isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn) or not (name := last_of(left)):
            return
        values = right.elts if isinstance(right, ast.List | ast.Tuple | ast.Set) else [right]
        if isinstance(right, ast.Call) and last_of(right.func) == "get_args" and len(right.args) == 1:
            right = right.args[0]
        if isinstance(node.ops[0], ast.In | ast.NotIn) and isinstance(right, ast.Name | ast.Attribute):
            self.body.tables.setdefault(name, {}).setdefault(ast.unparse(right), node.lineno)
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                self.body.accepted.setdefault(name, {}).setdefault(value.value, value.lineno)

    def _match(self, node: ast.Match) -> None:
        name = last_of(node.subject)
        for case in node.cases if name else ():
            patterns = case.pattern.patterns if isinstance(case.pattern, ast.MatchOr) else [case.pattern]
            for pattern in patterns:
                value = pattern.value if isinstance(pattern, ast.MatchValue) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    self.body.accepted.setdefault(name, {}).setdefault(value.value, value.lineno)

    def _dictionary(self, node: ast.Dict, into: dict[str, int]) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            text = text_of(key) if key is not None else None
            if isinstance(value, ast.Dict) or (isinstance(value, ast.Call) and last_of(value.func).endswith("dict")):
                continue  # a part of a container, `{"train": defaultdict(list)}`
            if text and text.strip("*"):
                into.setdefault(text, node.lineno)
