"""Which names are public, and under which of its paths an object is kept."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from keyword import iskeyword

import griffe

from .facts import CONTRACT, EXPERIMENTAL, INTERNAL, LEGACY, STABLE
from .resolve import Definition, External, Resolver, wildcards
from .settings import Settings
from .values import literal


@dataclass(frozen=True)
class Export:
    """A path and what it leads to; `home` is the best promised path, under which the facts of that object are kept."""

    path: str
    home: str
    definition: Definition | External | None
    tier: str = STABLE


def is_room(resolver: Resolver, module: str) -> bool:
    return resolver.tree.is_package(module) and resolver.tree.has(f"{module}.{CONTRACT}")


def public_modules(resolver: Resolver, settings: Settings) -> list[str]:
    """Modules whose exported names are promised, outermost first."""
    rooms = {
        m for m in resolver.tree.files if is_room(resolver, m) and not any(p.startswith("_") for p in m.split("."))
    }
    named = {module for module in resolver.tree.files if settings.is_public(module)}
    contracts = {f"{room}.{CONTRACT}" for room in rooms}  # their content is promised, not their names
    return sorted((rooms | named) - contracts, key=lambda module: (module.count("."), module))


_STANDARD = sys.stdlib_module_names | {"typing_extensions"}
_RANKS = {tier: rank for rank, tier in enumerate((STABLE, LEGACY, EXPERIMENTAL, INTERNAL))}


def public_exports(resolver: Resolver, settings: Settings) -> list[Export]:
    """Every public path with its definition, sorted; if the settings ask for it the internal ones too."""
    paths: dict[str, Definition | External | None] = {}
    tiers: dict[str, str] = {}
    for module_path in public_modules(resolver, settings):
        module = resolver.tree.module(module_path)
        if module is not None:
            names = {*exported_names(resolver, module), *served_names(resolver, module)}
            paths |= {f"{module_path}.{name}": resolver.member(module, name) for name in sorted(names)}
            tiers |= {f"{module_path}.{name}": settings.tier(f"{module_path}.{name}") for name in names}
            tiers |= {f"{module_path}.{name}": INTERNAL for name in names & makeshift_names(resolver, module)}
    for path, found in _internal(resolver) if settings.internal else ():
        if path not in paths:
            paths[path], tiers[path] = found, INTERNAL
    for path, found in list(paths.items()):
        nested = dict(_nested(path, found, settings.internal))
        paths |= nested
        tiers |= {p: INTERNAL if p.rpartition(".")[2].startswith("_") else tiers[path] for p in nested}
    homes: dict[str, str] = {}

    def rank(path: str) -> tuple[int, bool, int, bool, str]:
        found = paths[path]
        own_name = path.rpartition(".")[2] == getattr(found, "name", None)
        # Of internal paths the one of the definition: nobody says which of the modules that import it people rely on.
        elsewhere = tiers[path] == INTERNAL and getattr(found, "path", None) != path
        return (_RANKS[tiers[path]], elsewhere, path.count("."), not own_name, path)

    for path in sorted(paths, key=rank):
        homes.setdefault(_identity(path, paths[path]), path)
    return [Export(path, homes[_identity(path, found)], found, tiers[path]) for path, found in sorted(paths.items())]


def _internal(resolver: Resolver) -> Iterator[tuple[str, Definition | External | None]]:
    """Whatever else can be imported: private names and modules, and what modules import for themselves."""
    for path in resolver.tree.files:
        module = resolver.tree.module(path)
        starred = _starred(resolver, module) if module is not None else set()
        for name in (*module.members, *sorted(starred)) if module is not None else ():
            if module is None or not name.isidentifier() or name.startswith("__") or name == "_import_structure":
                continue
            found = resolver.member(module, name)
            if not isinstance(found, External) or found.path.partition(".")[0] not in _STANDARD:
                yield f"{path}.{name}", found


def _nested(
    path: str, found: Definition | External | None, internal: bool
) -> Iterator[tuple[str, Definition | External | None]]:
    """The classes in the body of a class, and those in theirs; private ones only if `internal` says so."""
    for name, member in found.members.items() if isinstance(found, griffe.Class) else ():
        if isinstance(member, griffe.Class) and (internal or not name.startswith("_")):
            yield f"{path}.{name}", member
            yield from _nested(f"{path}.{name}", member, internal)


def _identity(path: str, found: Definition | External | None) -> str:
    """Paths with the same identity lead to the same object."""
    if isinstance(found, External):
        return f"external {found.path}"
    return f"internal {found.path}" if found is not None else f"unknown {path}"


def exported_names(resolver: Resolver, module: griffe.Module) -> list[str]:
    """The names of `__all__`; without one, of the table of lazy exports; without that, whatever is defined openly."""
    if module.exports is not None:
        return sorted(_declared(resolver, module, frozenset()))
    lazy = resolver.lazy(module)
    if lazy:
        return sorted(name for name in lazy if not name.startswith("_"))
    names = []
    for name, thing in module.members.items():
        inside = not isinstance(thing, griffe.Alias) or (
            module.is_init_module and thing.target_path.startswith(f"{resolver.tree.name}.")
        )
        if not name.startswith("_") and name.isidentifier() and inside:
            names.append(name)
    starred = _starred(resolver, module) if module.is_init_module else ()
    return sorted({*names, *(n for n in starred if not isinstance(resolver.member(module, n), External | None))})


def makeshift_names(resolver: Resolver, module: griffe.Module) -> set[str]:
    """Names that a module without `__all__` has for itself: for type checkers only, or in place of another's.

    Type variables; what is imported under `if TYPE_CHECKING`, unless the module makes its names when they are asked for
    (then those imports say which); and what stands in where an import from another package fails or is too new.
    """
    if module.exports is not None or resolver.lazy(module):
        return set()
    found = {name for name, thing in module.members.items() if _is_type_variable(thing)}
    syntax = resolver.tree.syntax(module.path)
    if syntax is None:
        return found
    checked = {name for name, thing in module.members.items() if isinstance(thing, griffe.Alias) and not thing.runtime}
    if checked and "__getattr__" not in module.members:
        plain = (node for node in syntax.body if isinstance(node, ast.Assign | ast.If | ast.Expr))
        found |= set() if any("sys.modules" in ast.unparse(node) for node in plain) else checked
    for node in syntax.body:
        if isinstance(node, ast.Try) and any("ImportError" in _caught(handler) for handler in node.handlers):
            found |= _stand_ins([node.body, *(handler.body for handler in node.handlers)], resolver.tree.name)
        elif isinstance(node, ast.If) and "version_info" in ast.unparse(node.test):
            found |= _stand_ins([node.body, node.orelse], resolver.tree.name)
    return found


def _is_type_variable(thing: griffe.Object | griffe.Alias) -> bool:
    if not isinstance(thing, griffe.Attribute) or not isinstance(thing.value, griffe.ExprCall):
        return False
    return str(thing.value.function).rpartition(".")[2] in ("TypeVar", "ParamSpec", "TypeVarTuple")


def _caught(handler: ast.ExceptHandler) -> str:
    return ast.unparse(handler.type).replace("ModuleNotFoundError", "ImportError") if handler.type is not None else ""


def _stand_ins(branches: list[list[ast.stmt]], package: str) -> set[str]:
    """The names that one branch imports from another package and another branch makes."""
    imported, made = set(), set()
    for node in (node for branch in branches for node in branch):
        if isinstance(node, ast.Import) or (
            isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] != package
        ):
            imported |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Assign):
            made |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return imported & made


def _starred(resolver: Resolver, module: griffe.Module) -> set[str]:
    """Names that `from .module import *` brings in, from modules of this package."""
    names: set[str] = set()
    ahead = list(wildcards(module))
    for source in ahead:  # grows while it is walked
        other = resolver.tree.module(source)
        if other is not None and other.exports is not None:
            names |= _declared(resolver, other, frozenset())
        elif other is not None:
            names |= {name for name in other.members if name.isidentifier() and not name.startswith("_")}
            ahead += [further for further in wildcards(other) if further not in ahead]
    return names


def served_names(resolver: Resolver, module: griffe.Module) -> set[str]:
    """Names that a module `__getattr__` asks for by text: `if name == "old": ...`, as shims for moved names do."""
    names: set[str] = set()
    for compare in ast.walk(_getattr(resolver, module) or ast.Pass()):
        if isinstance(compare, ast.Compare) and len(compare.ops) == 1:
            right = compare.comparators[0]
            items = right.elts if isinstance(right, ast.List | ast.Tuple | ast.Set) else [right]
            names |= {i.value for i in items if isinstance(i, ast.Constant) and isinstance(i.value, str)}
    return {name for name in names if name.isidentifier() and not name.startswith("_")}


def is_dynamic(resolver: Resolver, module: griffe.Module) -> bool:
    """Whether a module `__getattr__` gives names that nothing here lists."""
    listed = module.exports is not None or resolver.lazy(module) or served_names(resolver, module)
    return not listed and _getattr(resolver, module) is not None


def _getattr(resolver: Resolver, module: griffe.Module) -> ast.FunctionDef | None:
    syntax = resolver.tree.syntax(module.path) if "__getattr__" in module.members else None
    functions = (node for node in (syntax.body if syntax else ()) if isinstance(node, ast.FunctionDef))
    return next((node for node in functions if node.name == "__getattr__"), None)


def _declared(resolver: Resolver, module: griffe.Module, seen: frozenset[str]) -> set[str]:
    """The names of a literal `__all__`, with the parts that it takes over from other modules."""
    names: set[str] = set()
    for item in module.exports or ():
        if isinstance(item, str):
            names.add(item)
            continue
        if item.name == "__all__" and isinstance(item.parent, griffe.Expr):
            other = resolver.lookup(str(item.parent), module)
            if isinstance(other, griffe.Module) and other.path not in seen:
                names |= _declared(resolver, other, seen | {module.path})
        else:
            values = literal(item.name, module, resolver)
            names |= {value for value in values or () if isinstance(value, str)}
    return {name for name in names if name.isidentifier() and not iskeyword(name)}
