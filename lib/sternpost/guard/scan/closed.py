"""Tests without the names of their modules: what they ask of the package, for `evaluate` to answer.

`V2 = int(lib.__version__.split(".")[0]) >= 2` makes of `if V2:` a question about the version, wherever it is imported;
`try: from lib import f` with `HAS_F = True`, and `False` when that fails, makes of `if HAS_F:` one about the name.
"""

import ast
import copy
import re
from collections.abc import Sequence

from .code import Function, Import, Module, Value, imports
from .codebase import Codebase
from .evaluate import ARGUMENTS, HAS, MARKERS, TAKES, THERE, VERSION
from .meanings import Ref
from .scopes import Scopes
from .syntax import dotted, last_name, strings

MAX_LINKS = 8
"""Names behind names that are followed."""
MAX_LINES = 12
MAX_TEXT = 1_500
_VERSION_NAMES = {"__version__", "VERSION", "__VERSION__", "version_info", "__version_info__", "version_tuple"}
_ASKING = re.compile(r"version|distribution|^hasattr$|^signature$|^getfullargspec$")
_FAILS = {"ImportError", "ModuleNotFoundError", "AttributeError", "Exception", "BaseException", "*"}


class Closing:
    """Closes the tests of the modules of one project over the names that they read."""

    def __init__(self, codebase: Codebase, package: str) -> None:
        self.codebase = codebase
        self.package = package
        self._names: dict[tuple[str, str], ast.expr | None] = {}
        self.telling: dict[tuple[str, str], bool] = {}
        """Names of modules, and whether they stand for a question to the package."""
        self._values: dict[int, ast.expr | None] = {}
        self._flags: dict[str, dict[str, ast.expr]] = {}

    def text(self, test: ast.expr, scopes: Scopes) -> str:
        """A test as `evaluate` reads it; empty if it asks nothing of the package."""
        found = self._close(test, scopes.module, scopes, 0)
        text = ast.unparse(found) if found is not None and _asks(found) else ""
        return text if len(text) < MAX_TEXT else ""

    def _close(self, node: ast.expr, module: Module, scopes: Scopes | None, depth: int) -> ast.expr | None:
        """A constant, or a copy of what asks something of the package, with its names replaced; None for all others."""
        if all(isinstance(item, ast.Constant) for item in (node.elts if isinstance(node, ast.Tuple) else [node])):
            return node
        replacing = _Replacing(self, module, scopes, depth)
        if depth > MAX_LINKS or _lines(node) > MAX_LINES or not replacing.concerns(node):
            return None
        return replacing.visit(copy.deepcopy(node))

    def path(self, node: ast.expr, module: Module, scopes: Scopes | None) -> str | None:
        """What of the package an expression refers to."""
        if scopes is not None:
            meant = scopes.evaluate(node)
            return meant.path if isinstance(meant, Ref) and self.is_package(meant.path) else None
        first, _, rest = (dotted(node) or "").partition(".")
        for definition in module.bindings.get(first, ()):
            if isinstance(definition, Import) and self.is_package(definition.path):
                return f"{definition.path}.{rest}" if rest else definition.path
        return None

    def is_package(self, path: str) -> bool:
        return path == self.package or path.startswith(f"{self.package}.")

    def name(self, name: str, module: Module, scopes: Scopes | None, depth: int) -> ast.expr | None:
        """The closed expression behind a name, if it is a constant or asks something of the package."""
        for values in scopes.values[:0:-1] if scopes is not None else ():
            if name in values:
                if id(values[name]) not in self._values:
                    self._values[id(values[name])] = None  # what a cycle finds
                    self._values[id(values[name])] = _telling(self._close(values[name], module, scopes, depth + 1))
                return self._values[id(values[name])]
        key = (module.path, name)
        if key not in self._names:
            self._names[key] = None  # what a cycle finds
            self._names[key] = self._global(name, module, depth)
        return self._names[key]

    def _global(self, name: str, module: Module, depth: int) -> ast.expr | None:
        if module.path not in self._flags:
            self._flags[module.path] = flags(module.tree.body, module, self.package)
        if name in self._flags[module.path]:
            return _telling(self._close(self._flags[module.path][name], module, None, depth + 1))
        definitions = module.bindings.get(name, ())
        if len(definitions) != 1:
            return None
        (definition,) = definitions
        if isinstance(definition, Value) and definition.node is not None:
            return _telling(self._close(definition.node, module, None, depth + 1))
        if isinstance(definition, Function) and (result := _only_result(definition)) is not None:
            return _telling(self._close(result, module, None, depth + 1))
        if isinstance(definition, Import) and self.is_package(definition.path):
            return _version(definition.path)
        if isinstance(definition, Import) and depth < MAX_LINKS:
            source, _, original = definition.path.rpartition(".")
            other = self.codebase.module(source) if self.codebase.is_relevant(definition.path) else None
            return self.name(original, other, None, depth + 1) if other is not None else None
        return None


def _only_result(function: Function) -> ast.expr | None:
    """What a function without arguments returns, if that is all it does."""
    body = [node for node in function.node.body if not isinstance(node, ast.Expr | ast.Import | ast.ImportFrom)]
    plain = not function.signature.arguments and function.owner is None and len(body) == 1
    return body[0].value if plain and isinstance(body[0], ast.Return) else None


def _lines(node: ast.expr) -> int:
    return (getattr(node, "end_lineno", 0) or 0) - getattr(node, "lineno", 0)


def _asks(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Name) and part.id in MARKERS for part in ast.walk(node))


def _telling(node: ast.expr | None) -> ast.expr | None:
    """Constants, and what asks something of the package."""
    if node is None:
        return None
    items = node.elts if isinstance(node, ast.Tuple) else [node]
    return node if all(isinstance(item, ast.Constant) for item in items) or _asks(node) else None


def _call(name: str, *words: str) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [ast.Constant(word) for word in words], [])


def closing_of(codebase: Codebase, package: str) -> Closing:
    """The one that all walkers of a project share."""
    known = codebase.memo.setdefault("closing", Closing(codebase, package))
    assert isinstance(known, Closing)
    return known


class _Replacing(ast.NodeTransformer):
    """Puts the version, questions and what names stand for into an expression."""

    def __init__(self, closing: Closing, module: Module, scopes: Scopes | None, depth: int) -> None:
        self.closing, self.module, self.scopes, self.depth = closing, module, scopes, depth

    def _path(self, node: ast.expr) -> str | None:
        return self.closing.path(node, self.module, self.scopes)

    def concerns(self, node: ast.expr) -> bool:
        """Whether anything in an expression may ask the package."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and (part.id in MARKERS or self._is_telling(part)):
                return True
            if isinstance(part, ast.Attribute) and (part.attr == "version" or part.attr in _VERSION_NAMES):
                return True
            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                if (known := self._of_module(part, part.value)) is not None and _asks(known):
                    return True
            if isinstance(part, ast.Call) and _ASKING.search(last_name(part.func)):
                return True
        return False

    def _is_telling(self, node: ast.Name) -> bool:
        """Whether a name stands for a question; for names of the module that is looked up once."""
        local = self.scopes is not None and any(node.id in scope for scope in self.scopes.stack[1:])
        key = (self.module.path, node.id)
        if local:
            return _asks(self.visit_Name(node))
        if key not in self.closing.telling:
            self.closing.telling[key] = _asks(self.visit_Name(node))
        return self.closing.telling[key]

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if (known := self.closing.name(node.id, self.module, self.scopes, self.depth)) is not None:
            return known
        path = self._path(node)
        return (_version(path) if path is not None else None) or node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if (path := self._path(node)) is not None and (version := _version(path)) is not None:
            return version
        if node.attr == "version" and self._is_distribution(node.value):
            return ast.Name(VERSION, ast.Load())
        if dotted(node) is None:
            return self.generic_visit(node)
        inner = node.value
        if isinstance(inner, ast.Name):
            node.value = self.visit_Name(inner)
            return self._of_module(node, inner) or node
        return node

    def _of_module(self, node: ast.Attribute, base: ast.Name) -> ast.expr | None:
        """`compat.V2`, where `compat` is a module of the project."""
        for definition in self.module.bindings.get(base.id, ()):
            if isinstance(definition, Import) and self.closing.codebase.is_relevant(definition.path):
                module = self.closing.codebase.module(definition.path)
                return self.closing.name(node.attr, module, None, self.depth + 1) if module is not None else None
        return None

    def _is_distribution(self, node: ast.expr) -> bool:
        """`get_distribution("lib")`, `distribution("lib")`."""
        named = isinstance(node, ast.Call) and "distribution" in last_name(node.func)
        return named and isinstance(node, ast.Call) and self._names_package(node)

    def _names_package(self, node: ast.Call) -> bool:
        words = [word.replace("-", "_").lower() for word in (strings(node.args[0]) if node.args else ())]
        return words == [self.closing.package.lower()]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = last_name(node.func)
        if "version" in name.lower() and len(node.args) == 1 and self._names_package(node):
            return ast.Name(VERSION, ast.Load())
        if name == "hasattr" and len(node.args) == 2 and (path := self._path(node.args[0])) is not None:
            words = list(strings(node.args[1]))
            return _call(HAS, f"{path}.{words[0]}") if words else node
        if name in ("signature", "getfullargspec") and node.args and (path := self._path(node.args[0])) is not None:
            return _call(ARGUMENTS, path)
        if not node.args and not node.keywords and isinstance(node.func, ast.Name):
            return self.closing.name(node.func.id, self.module, self.scopes, self.depth) or node
        node.args = [self.visit(argument) for argument in node.args]
        if isinstance(node.func, ast.Attribute):
            node.func.value = self.visit(node.func.value)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
            listing = [call for call in ast.walk(node.comparators[0]) if isinstance(call, ast.Call)]
            listing = [call for call in listing if last_name(call.func) == ARGUMENTS]
            if len(listing) == 1 and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
                asked = _call(TAKES, *strings(listing[0].args[0]), node.left.value)
                return asked if isinstance(node.ops[0], ast.In) else ast.UnaryOp(ast.Not(), asked)
        return node


def _version(path: str) -> ast.expr | None:
    """The version, for a path of the package that is named so."""
    return ast.Name(VERSION, ast.Load()) if path.rpartition(".")[2] in _VERSION_NAMES else None


def flags(body: Sequence[ast.stmt], module: Module, package: str) -> dict[str, ast.expr]:
    """Names that blocks of a module set one way or another, each as one expression."""
    found: dict[str, ast.expr] = {}
    before: dict[str, ast.expr] = {}
    for node in body:
        before |= _assigned([node])
        if isinstance(node, ast.If):
            _join(found, before, node.test, _branch(node.body, module, package), _branch(node.orelse, module, package))
        elif isinstance(node, ast.Try):
            tried = list(_imported(node.body, module, package))
            names: dict[str, ast.expr] = {name: ast.Name(THERE, ast.Load()) for name, _ in tried}
            names |= _assigned([*node.body, *node.orelse])
            failing = [h for h in node.handlers if _names_of(h.type) & _FAILS]
            if tried and failing:
                test = _call(HAS, *(path for _, path in tried))
                _join(found, before, test, names, _assigned(failing[0].body))
    return found


def _branch(body: Sequence[ast.stmt], module: Module, package: str) -> dict[str, ast.expr]:
    return _assigned(body) | flags(body, module, package)


def _join(
    found: dict[str, ast.expr],
    before: dict[str, ast.expr],
    test: ast.expr,
    then: dict[str, ast.expr],
    otherwise: dict[str, ast.expr],
) -> None:
    known = before | found
    for name in then.keys() | otherwise.keys():
        if (one := then.get(name, known.get(name))) is not None:
            if (other := otherwise.get(name, known.get(name))) is not None:
                found[name] = ast.IfExp(test, one, other)


def _assigned(body: Sequence[ast.stmt]) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for node in body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(target, ast.Name) and value is not None:
            found[target.id] = value
    return found


def _imported(body: Sequence[ast.stmt], module: Module, package: str) -> list[tuple[str, str]]:
    """Name and path of what statements import of the package."""
    found: list[tuple[str, str]] = []
    for node in body:
        if isinstance(node, ast.Import):
            found += [(alias.asname or alias.name.partition(".")[0], alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(i.name, i.path) for i in imports(node, module)]
    return [(name, path) for name, path in found if path == package or path.startswith(f"{package}.")]


def _names_of(node: ast.expr | None) -> set[str]:
    if node is None:
        return {"*"}
    return {last_name(item) for item in (node.elts if isinstance(node, ast.Tuple) else [node])}
