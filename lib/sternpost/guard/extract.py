"""From a source tree to a snapshot: every public name followed to its definition and turned into facts."""

import gc
from collections.abc import Iterator

import griffe

from .annotations import choices, type_text
from .bodies import Bodies
from .classes import ClassReader, lineage
from .commands import command_facts
from .distribution import Distribution
from .exports import Export, is_dynamic, is_room, public_exports, public_modules
from .facts import CONTRACT, INTERNAL, NAMES, Fact, Origin, Problem, Snapshot, make_fact
from .fields import tuple_facts, tuple_fields
from .observed import Observer
from .promises import Contract
from .resolve import External, Resolver
from .settings import Settings
from .signatures import choice_facts, fingerprint_of, gives_of, order_of, param_facts, passed_on
from .sources import Tree
from .tombstones import tombstone_facts
from .values import value_text


def extract(settings: Settings) -> Snapshot:
    """All facts of the package; what could not be read is in `problems`."""
    collecting = gc.isenabled()
    gc.disable()  # syntax trees are many objects and no cycles: looking for cycles takes a third of the time
    try:
        return Extractor(settings).snapshot()
    finally:
        if collecting:
            gc.enable()


class Extractor:
    """One reading of one tree."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.tree = Tree(settings)
        self.resolver = Resolver(self.tree)
        self.bodies = Bodies(self.tree)
        self.problems: list[Problem] = []
        self.exports: list[Export] = []
        self.homes: dict[str, str] = {}

    def snapshot(self) -> Snapshot:
        facts: list[Fact] = []
        if self.tree.name not in self.tree.files:
            self.problems.append(Problem(Origin(self.settings.shown(self.settings.package)), "holds no `__init__.py`"))
        self.exports = public_exports(self.resolver, self.settings)
        self.homes = {e.definition.path: e.home for e in self.exports if isinstance(e.definition, griffe.Class)}
        for part in (self._api, self._commands, self._distribution):
            facts += part()
        buried, problems = tombstone_facts(self.settings, self.resolver)
        facts += buried
        self.problems += problems
        observer = Observer(self.exports, self.homes, self.resolver, self.bodies)
        facts += observer.deprecations()
        facts += observer.facts() if self.settings.internal else ()
        return Snapshot.of(facts, [*self.problems, *self.tree.problems], self.tree.unreadable)

    def _api(self) -> list[Fact]:
        hooks: dict[str, frozenset[str]] = {}
        facts: list[Fact] = []
        public = public_modules(self.resolver, self.settings)
        for module in self.tree.files if self.settings.internal else ():
            if module not in public:
                origin = Origin(self.settings.shown(self.tree.files[module]), 1)
                facts.append(make_fact("module", module, "", origin, tier=INTERNAL))
        for module in public:
            room = "yes" if is_room(self.resolver, module) else None
            origin = Origin(self.settings.shown(self.tree.files[module]), 1)
            known = self.tree.module(module)
            dynamic = "yes" if known is not None and is_dynamic(self.resolver, known) else None
            details = {"tier": self.settings.tier(module), "room": room, "dynamic": dynamic}
            facts.append(make_fact("module", module, "", origin, **details))
            contract = self.resolver.tree.module(f"{module}.{CONTRACT}") if room else None
            if contract is not None:
                promises = Contract(module, contract, self.resolver)
                hooked = self._hooked_class(module, promises.hooks)
                if hooked is not None and isinstance(hooked.definition, griffe.Class):
                    hooks[hooked.home] = promises.hooks
                facts += promises.facts(hooked.home if hooked else module)
                self.problems += promises.problems
        for export in self.exports:
            module, _, name = export.path.rpartition(".")
            test = self.resolver.conditions.get((module, name))
            for fact in self._export(export, hooks):
                is_name = test is not None and fact.kind in NAMES and fact.owner == export.path
                facts.append(fact.stating(needs=test) if is_name else fact)
        return facts

    def _hooked_class(self, room: str, hooks: frozenset[str]) -> Export | None:
        """The public class of a room that defines most of its hooks."""

        def defined(export: Export) -> int:
            classes = lineage(export.definition, self.resolver) if isinstance(export.definition, griffe.Class) else []
            return len({name for class_ in classes for name in class_.members} & hooks)

        own = [export for export in self.exports if export.path.rpartition(".")[0] == room and defined(export)]
        return max(own, key=lambda export: (defined(export), export.path), default=None)

    def _export(self, export: Export, hooks: dict[str, frozenset[str]]) -> Iterator[Fact]:
        found, path, tier = export.definition, export.path, export.tier
        origin = Origin("?") if found is None or isinstance(found, External) else self.tree.origin(found)
        if export.home != path:
            yield make_fact("alias", path, "", origin, to=export.home, tier=tier)
        elif isinstance(found, External):
            inside = found.path.partition(".")[0] == self.tree.name
            yield make_fact("name" if inside else "alias", path, "", None, to=None if inside else found.path, tier=tier)
        elif isinstance(found, griffe.Class):
            hooked, internal = hooks.get(path, frozenset()), self.settings.internal
            yield from ClassReader(found, path, hooked, self.homes, self.resolver, self.bodies, internal).facts(tier)
        elif isinstance(found, griffe.Function):
            found = passed_on(found, self.resolver, self.bodies)
            returns = type_text(found.returns, found.module, self.resolver)
            body = fingerprint_of(found, self.bodies) if self.settings.internal else None
            details = {"order": order_of(found, False), "gives": gives_of(found, self.bodies), "body": body}
            details["async_"] = "yes" if "async" in found.labels else None
            yield make_fact("function", path, "", origin, returns=returns, tier=tier, **details)
            yield from param_facts(found, path, False, self.resolver, bodies=self.bodies)
        elif isinstance(found, griffe.Module):
            yield make_fact("module", path, "", origin, tier=tier)
        elif found is None:
            yield make_fact("name", path, "", None, tier=tier)
        else:
            yield from self._constant(path, found, origin, tier)

    def _constant(self, path: str, found: griffe.Attribute, origin: Origin, tier: str) -> Iterator[Fact]:
        dunder = found.name.startswith("__")  # `__version__` differs in every release
        if str(found.value).endswith("(__name__)") and "logger" in str(found.value).lower():
            tier = INTERNAL  # a logger of the module's own
        value = None if found.value is None or dunder else value_text(found.value, found.module, self.resolver)
        if isinstance(found.value, griffe.ExprSubscript | griffe.ExprBinOp) and "|" in (
            as_type := type_text(found.value, found.module, self.resolver) or ""
        ):
            value = as_type  # a type alias: in whatever style it is written
        type_ = type_text(found.annotation, found.module, self.resolver)
        named = tuple_fields(found.value)
        shape = {"order": ",".join(name for name, _ in named), "gives": str(len(named))} if named else {}
        yield make_fact("constant", path, "", origin, value=value, type=type_, tier=tier, **shape)
        yield from tuple_facts(path, named, origin)
        if found.value is not None:
            yield from choice_facts(path, choices(str(found.value), found.module, self.resolver), origin)

    def _commands(self) -> list[Fact]:
        return list(command_facts(self.settings, self.resolver, self.homes)) if self.settings.commands else []

    def _distribution(self) -> list[Fact]:
        file = self.settings.pyproject or self.settings.metadata
        if file is None:
            return []
        distribution = Distribution(file, self.settings.shown(file), self.settings.ignore_extras)
        facts = list(distribution.facts())
        self.problems += distribution.problems
        return facts
