"""Which names are public, and under which of its paths an object is kept."""

from dataclasses import dataclass
from keyword import iskeyword

import griffe

from .facts import CONTRACT, STABLE
from .resolve import Definition, External, Resolver
from .settings import Settings
from .values import literal


@dataclass(frozen=True)
class Export:
    """A public path and what it leads to; `home` is the public path under which the facts of that object are kept."""

    path: str
    home: str
    definition: Definition | External | None


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


def public_exports(resolver: Resolver, settings: Settings) -> list[Export]:
    """Every public path with its definition, sorted."""
    paths: dict[str, Definition | External | None] = {}
    for module_path in public_modules(resolver, settings):
        module = resolver.tree.module(module_path)
        if module is not None:
            paths |= {
                f"{module_path}.{name}": resolver.member(module, name) for name in exported_names(resolver, module)
            }
    homes: dict[str, str] = {}

    def rank(path: str) -> tuple[bool, int, bool, str]:
        own_name = path.rpartition(".")[2] == getattr(paths[path], "name", None)
        return (settings.tier(path) != STABLE, path.count("."), not own_name, path)

    for path in sorted(paths, key=rank):
        homes.setdefault(_identity(path, paths[path]), path)
    return [Export(path, homes[_identity(path, found)], found) for path, found in sorted(paths.items())]


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
    return sorted(names)


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
