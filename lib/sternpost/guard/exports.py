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
    for module_path in public_modules(resolver, settings):
        module = resolver.tree.module(module_path)
        if module is not None:
            names = {*exported_names(resolver, module), *served_names(resolver, module)}
            paths |= {f"{module_path}.{name}": resolver.member(module, name) for name in sorted(names)}
    tiers = {path: settings.tier(path) for path in paths}
    for path, found in _internal(resolver) if settings.internal else ():
        if path not in paths:
            paths[path], tiers[path] = found, INTERNAL
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
