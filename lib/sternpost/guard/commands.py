"""Facts of the command line, from the data that the command line itself is made of.

A package whose `commands` setting names its command-line package is read by these conventions: `COMMANDS` there lists
the commands, each a module beside it; a module's `COMMAND = Command(config="SFTConfig", ...)` names the dataclass whose
fields are its options, and `also` further ones, as does `SHARED` beside the definition of `Command` for all commands;
`ALIASES` of the package's module `arguments` holds short names of options.
"""

import ast
from collections.abc import Iterator

import griffe

from .classes import lineage
from .facts import Fact, make_fact
from .fields import config_fields
from .resolve import Resolver
from .settings import Settings
from .values import literal, parse_expression


def command_facts(settings: Settings, resolver: Resolver, homes: dict[str, str]) -> Iterator[Fact]:
    """One fact per command, and one per option that it takes. Options of foreign base classes are not known."""
    package = resolver.tree.module(settings.commands or "")
    table = resolver.member(package, "COMMANDS") if package is not None else None
    if package is None or not isinstance(table, griffe.Attribute):
        return
    aliases = _literal_of(resolver, f"{package.path}.arguments.ALIASES")
    for command in literal(table.value, package, resolver) or ():
        module = resolver.tree.module(f"{package.path}.{command}")
        defined = module.members.get("COMMAND", module) if module is not None else table
        origin = resolver.tree.origin(defined)
        yield make_fact("command", resolver.tree.name, str(command), origin)
        flags = dict(_flags(module, resolver, homes)) if module is not None else {}
        flags |= (
            {short: flags[long] for short, long in aliases.items() if long in flags}
            if isinstance(aliases, dict)
            else {}
        )
        for flag, field in flags.items():
            yield make_fact("flag", f"{resolver.tree.name}:{command}", f"--{flag}", origin, field=field)


def _flags(module: griffe.Module, resolver: Resolver, homes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The options of a command, each with the field that it sets."""
    definition = module.members.get("COMMAND")
    call = parse_expression(str(definition.value)) if isinstance(definition, griffe.Attribute) else None
    if not isinstance(call, ast.Call):
        return
    named = {keyword.arg: literal(ast.unparse(keyword.value), module, resolver) for keyword in call.keywords}
    maker = resolver.lookup(ast.unparse(call.func), module)
    shared = (
        _literal_of(resolver, f"{maker.module.path}.SHARED")
        if isinstance(maker, griffe.Class | griffe.Function)
        else ()
    )
    more = [name for names in (named.get("also"), shared) if isinstance(names, tuple | list) for name in names]
    for name in (named.get("config"), *more):
        for path in (f"{resolver.tree.name}.{name}", f"{resolver.tree.name}.{named.get('room')}.{name}"):
            class_ = resolver.find(path)
            if isinstance(class_, griffe.Class):
                for field in config_fields(lineage(class_, resolver), resolver):
                    if field.in_constructor:
                        yield field.name, f"{homes.get(class_.path, class_.path)}.{field.name}"
                break


def _literal_of(resolver: Resolver, path: str) -> object:
    found = resolver.find(path)
    return literal(found.value, found.module, resolver) if isinstance(found, griffe.Attribute) else None
