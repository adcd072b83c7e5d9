"""Facts that nobody promised but that people rely on: read from bodies, for packages without a contract.

Metric keys of classes, keys of rows and batches of modules, values that options are compared with, deprecations,
commands of the command line. They are kept apart by `seen=code`.
"""

import ast
import re
from collections.abc import Iterator

import griffe

from .annotations import strings_in
from .bodies import Bodies
from .body import Body, Warned
from .classes import lineage
from .exports import Export
from .facts import Fact, Origin, make_fact
from .fields import config_fields, is_dataclass
from .resolve import Resolver
from .values import parse_expression
from .words import announced, deprecation_stated, last_of, text_of

_QUOTED = re.compile(r"`+([^`]+)`+|'([A-Za-z_]\w*)'|\"([A-Za-z_]\w*)\"")
_USE = re.compile(r"(?:use|switch to|prefer|renamed to|replaced (?:by|with)|in favou?r of)\s+`+([^`]+)`+", re.I)


class Observer:
    """Reads the bodies of one package."""

    def __init__(self, exports: list[Export], homes: dict[str, str], resolver: Resolver, bodies: Bodies) -> None:
        self.homes = homes
        self.resolver = resolver
        self.bodies = bodies
        self.tree = resolver.tree
        own = [export for export in exports if export.path == export.home]
        self.classes = {e.home: e.definition for e in own if isinstance(e.definition, griffe.Class)}
        self.functions = {e.home: e.definition for e in own if isinstance(e.definition, griffe.Function)}
        self.modules = {export.path.rpartition(".")[0] for export in exports}
        self._fields: dict[str, dict[str, str | None]] = {}

    def deprecations(self) -> Iterator[Fact]:
        """What public code says will go. Of all that is read here only this is a promise."""
        for home, class_ in self.classes.items():
            yield from self._deprecated_in_class(home, class_)
        for module in sorted(self.modules):
            yield from self._deprecated_names(module)
        for home, function in self.functions.items():
            yield from self._decorated(home, function)
            body = self.bodies.of(function)
            if body is not None:
                names = {parameter.name for parameter in function.parameters}
                yield from self._deprecations(home, names, body, self._file(function))

    def facts(self) -> Iterator[Fact]:
        """What nobody promised."""
        for home, class_ in self.classes.items():
            yield from self._metrics(home, class_)
            yield from self._accepted(class_)
        yield from self._keys()
        for home, thing, body in self._public_bodies():
            yield from self._told(home, thing, body)
        yield from self._commands()

    # ---- Metrics and keys

    def _metrics(self, home: str, class_: griffe.Class) -> Iterator[Fact]:
        """Of all methods of the class and its bases here, and of the functions beside it."""
        owners = lineage(class_, self.resolver)
        members = {name for owner in owners for name in owner.members}
        if not members & {"log", "compute_loss", "training_step", "step", "train"} and (
            not any("metric" in name.lower() for name in members)
        ):
            return
        found: dict[str, tuple[str, int]] = {}
        for owner in owners:
            prefix = f"{owner.path[len(owner.module.path) + 1 :]}."
            for name in self.bodies.functions(owner.module.path):
                if name.startswith(prefix) or "." not in name:
                    body = self.bodies.at(owner.module.path, name)
                    for key, line in body.metrics.items() if body else ():
                        found.setdefault(key, (self._shown(owner.module.path), line))
        for key, (file, line) in found.items():
            yield make_fact("metric", home, key, Origin(file, line), seen="code")

    def _keys(self) -> Iterator[Fact]:
        """Of each module, whatever function of it names them, so that moving code inside a file changes nothing."""
        for module in self.tree.files:
            found: dict[str, int] = {}
            for name in self.bodies.functions(module):
                body = self.bodies.at(module, name)
                for key, line in body.keys.items() if body else ():
                    found.setdefault(key, line)
            for key, line in found.items():
                yield make_fact("key", module, key, Origin(self._shown(module), line))

    # ---- What is said, refused and dropped

    def _public_bodies(self) -> Iterator[tuple[str, griffe.Object, Body]]:
        """Of the methods of public classes, and of public functions."""
        for home, class_ in self.classes.items():
            for name in _methods(class_):
                if (body := self.bodies.of(class_.members[name])) is not None:  # type: ignore[arg-type]
                    yield home, class_, body
        for home, function in self.functions.items():
            if (body := self.bodies.of(function)) is not None:
                yield home, function, body

    def _told(self, home: str, thing: griffe.Object, body: Body) -> Iterator[Fact]:
        """A text is known by its beginning, so that a better wording is no other one."""
        file = self._file(thing)
        for kind, said in (("warning", body.warned), ("error", body.raised)):
            for one in said:
                start = _beginning(one.message)
                if start and not (kind == "warning" and one.deprecates):
                    yield make_fact(kind, home, start, Origin(file, one.line), via=one.via)
        for words, line in body.dropped.items():
            yield make_fact("filter", home, _beginning(words), Origin(file, line))

    # ---- Accepted values

    def _accepted(self, class_: griffe.Class) -> Iterator[Fact]:
        """What the options of a class's configuration are compared with, in the class and in the configuration."""
        configs = [class_] if is_dataclass(class_) else self._configs(class_)
        methods = [(owner, name) for owner in lineage(class_, self.resolver) for name in _methods(owner)]
        for config in configs:
            home = self.homes.get(config.path)
            if home is None:
                continue
            fields = self._field_types(config)
            for owner, name in methods:
                body = self.bodies.of(owner.members[name])  # type: ignore[arg-type]
                if body is None:
                    continue
                for option in sorted(fields):
                    for value, line in self._values(body, option, owner).items():
                        origin = Origin(self._shown(owner.module.path), line)
                        yield make_fact("choice", f"{home}.{option}", repr(value), origin, seen="code")

    def _values(self, body: Body, option: str, owner: griffe.Class) -> dict[str, int]:
        """What an option is compared with, and the keys of the tables that it is looked up in."""
        found = dict(body.accepted.get(option, {}))
        for table, line in body.tables.get(option, {}).items():
            known = self.resolver.lookup(table.removeprefix("self.").removeprefix("cls."), owner)
            if isinstance(known, griffe.Attribute) and known.value is not None:
                found |= dict.fromkeys(strings_in(known, self.resolver), line)
        return found

    def _configs(self, class_: griffe.Class) -> list[griffe.Class]:
        """The dataclasses of this package that the constructor of a class is annotated with."""
        for owner in lineage(class_, self.resolver):
            init = owner.members.get("__init__")
            if isinstance(init, griffe.Function):
                found = []
                for parameter in init.parameters:
                    for name in re.findall(r"[A-Za-z_][\w.]*", str(parameter.annotation or "")):
                        known = self.resolver.lookup(name, owner)
                        if isinstance(known, griffe.Class) and is_dataclass(known):
                            found.append(known)
                return found
        return []

    def _field_types(self, config: griffe.Class) -> set[str]:
        """Options that hold text."""
        if config.path not in self._fields:
            fields = config_fields(lineage(config, self.resolver), self.resolver)
            self._fields[config.path] = {f.name: f.type for f in fields if not f.type or "str" in f.type}
        return set(self._fields[config.path])

    # ---- Deprecations

    def _decorated(self, owner: str, thing: griffe.Class | griffe.Function) -> Iterator[Fact]:
        """`@deprecated(since=..., remove_in=..., use=...)`, or `@deprecated("message")` as PEP 702 has it."""
        for decorator in thing.decorators:
            call = parse_expression(str(decorator.value))
            if not isinstance(call, ast.Call) or "deprecat" not in last_of(call.func).lower():
                continue
            stated = deprecation_stated(call)
            message = text_of(call.args[0]) if len(call.args) == 1 and not call.keywords else None
            if stated or message:
                use = stated.get("use") or next(iter(_USE.findall(message or "")), None)
                until = stated.get("until") or announced(message or "")
                origin = Origin(self._file(thing), decorator.lineno)
                details = {"since": stated.get("since"), "until": until, "use": use, "via": "FutureWarning"}
                yield make_fact("deprecation", owner, "", origin, **details)

    def _deprecated_in_class(self, home: str, class_: griffe.Class) -> Iterator[Fact]:
        yield from self._decorated(home, class_)
        names = {field.name for field in config_fields(lineage(class_, self.resolver), self.resolver)}
        for name, member in class_.members.items():
            if isinstance(member, griffe.Attribute) and "property" in member.labels:
                module = class_.module.path
                if (body := self.bodies.at(module, f"{class_.path[len(module) + 1 :]}.{name}")) is not None:
                    yield from self._deprecations(f"{home}.{name}", set(), body, self._file(member))
            if not isinstance(member, griffe.Function):
                continue
            whole = name in ("__init__", "__post_init__", "__new__", "__init_subclass__")
            owner = home if whole else f"{home}.{name}"
            yield from self._decorated(owner, member)
            if (body := self.bodies.of(member)) is not None and body.warned:
                arguments = {parameter.name for parameter in member.parameters}
                yield from self._deprecations(owner, names | arguments, body, self._file(member))

    def _deprecated_names(self, module: str) -> Iterator[Fact]:
        """Names of a module whose `__getattr__` warns of them: under `if name == "old"`, or `if name in TABLE`."""
        known = self.tree.module(module)
        if known is None or "__getattr__" not in known.members:
            return
        body = self.bodies.at(module, "__getattr__")
        for warned in body.warned if body is not None else ():
            test = parse_expression(warned.guard) if warned.guard else None
            names = list(_compared_with(test, known, self.resolver)) if warned.deprecates and test is not None else []
            for name in names:
                yield from self._deprecations(f"{module}.{name}", set(), Body(warned=[warned]), self._shown(module))

    def _deprecations(self, owner: str, names: set[str], body: Body, file: str) -> Iterator[Fact]:
        for warned in body.warned:
            if not warned.deprecates:
                continue
            subject = _subject(warned, names)
            use = _USE.search(warned.message)
            yield make_fact(
                "deprecation",
                owner,
                subject,
                Origin(file, warned.line),
                since=warned.stated.get("since"),
                until=warned.until,
                use=warned.stated.get("use") or (use[1] if use else None),
                via=warned.via,
            )

    # ---- Command line

    def _commands(self) -> Iterator[Fact]:
        """`subparsers.add_parser("name")` and the options that are added in the same function."""
        for module in self.tree.files:
            for name in self.bodies.functions(module):
                body = self.bodies.at(module, name)
                if body is None or not body.parsers:
                    continue
                for command, line in body.parsers.items():
                    yield make_fact("command", self.tree.name, command, Origin(self._shown(module), line), seen="code")
                if len(body.parsers) == 1:
                    (command,) = body.parsers
                    for flag, line in body.flags.items():
                        origin = Origin(self._shown(module), line)
                        yield make_fact("flag", f"{self.tree.name}:{command}", flag, origin, seen="code")

    def _shown(self, module: str) -> str:
        return self.tree.settings.shown(self.tree.files[module])

    def _file(self, thing: griffe.Object) -> str:
        return self.tree.origin(thing).file


def _compared_with(test: ast.expr, module: griffe.Module, resolver: Resolver) -> Iterator[str]:
    """The strings that a test compares something with, those of the tables of the module that it looks up included."""
    for node in ast.walk(test):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value
        elif isinstance(node, ast.Name):
            table = resolver.member(module, node.id)
            if isinstance(table, griffe.Attribute) and table.value is not None:
                yield from strings_in(table, resolver)


def _beginning(text: str) -> str:
    return "-".join(re.findall(r"\w+", text)[:8]).lower()


def _methods(class_: griffe.Class) -> list[str]:
    return [name for name, member in class_.members.items() if isinstance(member, griffe.Function)]


def _subject(warned: Warned, names: set[str]) -> str:
    """Which of the options or arguments the warning is about: by its test, or by what it quotes first."""
    test = parse_expression(warned.guard) if warned.guard else None
    tested = (
        [node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in ast.walk(test)]
        if test
        else []
    )
    quoted = [next(filter(None, match)) for match in _QUOTED.findall(warned.message)]
    words = [re.split(r"[=(\s]", word, maxsplit=1)[0].rpartition(".")[2] for word in quoted]
    names = names - {"self", "cls"}
    return next((name for name in (*[w for w in words if w in tested], *words, *tested) if name in names), "")
