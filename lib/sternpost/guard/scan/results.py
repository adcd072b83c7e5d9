"""What the project's own functions give: instances of classes, by annotations or by what they return."""

import ast

from .code import Class, Function
from .codebase import Codebase, External
from .functions import TRANSPARENT, names_bound
from .meanings import CALL, Held, Inst, Items, Meaning
from .syntax import alternatives, dotted, last_name, unquoted

LISTS = {"list", "tuple", "set", "frozenset", "sequence", "iterable", "iterator", "collection", "generator", "deque"}
MAPPINGS = {"dict", "mapping", "mutablemapping", "defaultdict", "ordereddict"}
MAX_DEPTH = 5


def contained(annotation: ast.expr | None, depth: int = 0) -> tuple[ast.expr | None, bool]:
    """The type of what a container holds, as its annotation says; and whether it is looked up by keys."""
    if isinstance(annotation, ast.Constant):
        annotation = unquoted(annotation)
    if isinstance(annotation, ast.BinOp) and depth < 4:
        found = [contained(part, depth + 1) for part in (annotation.left, annotation.right)]
        return next((one for one in found if one[0] is not None), (None, False))
    if not isinstance(annotation, ast.Subscript):
        return None, False
    name = last_name(annotation.value)
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if name in ("Optional", "Union", "Annotated") and depth < 4:
        found = [contained(part, depth + 1) for part in inner]
        return next((one for one in found if one[0] is not None), (None, False))
    if name.lower() in MAPPINGS and len(inner) == 2:
        return inner[1], True
    return (inner[0], False) if name.lower() in LISTS and inner else (None, False)


def result(codebase: Codebase, package: str, function: Function, depth: int = 0) -> Meaning | None:
    """What a function of the project gives, if that has to do with classes; each is looked into once."""
    key = f"gives {function.path}"
    if key not in codebase.memo:
        codebase.memo[key] = None  # what a cycle finds
        codebase.memo[key] = _result(codebase, package, function, depth)
    found = codebase.memo[key]
    return found if isinstance(found, Inst | Items | Held) else None


def _result(codebase: Codebase, package: str, function: Function, depth: int) -> Meaning | None:
    annotation = function.node.returns
    if function.decorators - TRANSPARENT - {"property", "cached_property"} or depth > MAX_DEPTH:
        return None
    if annotation is not None:
        inner, keyed = contained(annotation)
        if inner is not None:
            held = _named(codebase, package, inner, function)
            return Items(held.path, keyed) if held is not None else None
        return _named(codebase, package, annotation, function)
    nodes = list(ast.walk(function.node))
    values = [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]
    made = values[0] if len(values) == 1 else None
    name = dotted(made.func) if isinstance(made, ast.Call) else None
    if name is None or any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
        return None
    if name.partition(".")[0] in names_bound(function.node):
        return None
    for entity in codebase.lookup(name, function.module):
        if isinstance(entity, Function):
            return result(codebase, package, entity, depth + 1)
        if isinstance(entity, Class):
            return Inst(entity.path)
        if isinstance(entity, External) and entity.path.startswith(f"{package}."):
            is_class = entity.path.rpartition(".")[2][:1].isupper()
            return Inst(entity.path) if is_class else Held(entity.path, (CALL,), "path")
    return None


def _named(codebase: Codebase, package: str, annotation: ast.expr, function: Function) -> Inst | None:
    """The first class that an annotation names."""
    for part in alternatives(annotation):
        name = dotted(part)
        for entity in codebase.lookup(name, function.module) if name else ():
            if isinstance(entity, Class) or (isinstance(entity, External) and entity.path.startswith(f"{package}.")):
                return Inst(entity.path)
    return None


def member(codebase: Codebase, path: str, name: str) -> Function | None:
    """The method or property that a class of the project, or one of the project that it derives from, has."""
    key = f"member {path} {name}"
    if key not in codebase.memo:
        codebase.memo[key] = _member(codebase, path, name)
    found = codebase.memo[key]
    return found if isinstance(found, Function) else None


def _member(codebase: Codebase, path: str, name: str) -> Function | None:
    class_ = next((entity for entity in codebase.find(path) if isinstance(entity, Class)), None)
    for owner in codebase.chain(class_) if class_ is not None else ():
        if isinstance(owner, External):
            return None  # it may come from there
        if name in owner.members:
            found = owner.members[name]
            return found if isinstance(found, Function) else None
    return None
