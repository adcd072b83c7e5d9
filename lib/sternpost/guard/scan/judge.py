"""Contacts held against two versions: only what the second one changes is told."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

from .code import Class, Function
from .collect import Collection
from .contacts import Contact
from .doubts import Doubts
from .evaluate import Evaluation
from .guards import handles, reached
from .hits import Hit, weaker
from .judge_calls import call_hits, option_hits
from .judge_classes import argument_hits, bypass_hits, read_hits, subclass_hits, super_hits, write_hits
from .judge_enums import enum_hits
from .judge_held import held_hits
from .judge_names import name_hits, patch_hits, string_path_hits
from .judge_overrides import override_hits
from .judge_reflection import reflection_hits
from .judge_texts import anchor_hits, requirement_hits, word_hits
from .library import Library
from .sides import Sides

_JUDGES = {
    "import": name_hits,
    "attribute": name_hits,
    "call": call_hits,
    "option": option_hits,
    "subclass": subclass_hits,
    "override": override_hits,
    "super": super_hits,
    "self-read": read_hits,
    "self-write": write_hits,
    "argument-read": argument_hits,
    "held": held_hits,
    "member": enum_hits,
    "bypass": bypass_hits,
    "patch": patch_hits,
    "reflection": reflection_hits,
    "string-path": string_path_hits,
    "anchor": anchor_hits,
    "requirement": requirement_hits,
}
_WORD = re.compile(r"\w+")
_IMPORTS = ("import", "attribute", "string-path", "subclass")


class Judge:
    """Compares two versions for one project."""

    def __init__(self, collection: Collection, old: Library, new: Library) -> None:
        self.sides = Sides(collection, old, new)
        self.collection = collection
        self._doubts = Doubts(self.sides)
        self._asked = Evaluation(new.version, new.has, self._takes)

    @cached_property
    def hits(self) -> list[Hit]:
        """Every hit, each line and symbol once, in the order of the project."""
        found: dict[tuple[object, ...], Hit] = {}
        for hit in [*self._of_contacts(self.collection.contacts), *word_hits(self.sides)]:
            key = (hit.rule, hit.contact.place.file, hit.at, hit.symbol)
            found.setdefault(key, hit)
        told = [hit for hit in found.values() if hit.rule != "key-gone"]
        firmer = {(hit.contact.place.file, hit.at, word) for hit in told for word in _WORD.findall(hit.symbol)}
        kept = [
            hit
            for hit in found.values()
            if hit.rule != "key-gone" or (hit.contact.place.file, hit.at, hit.symbol) not in firmer
        ]
        return sorted(kept, key=lambda h: (h.contact.place.file, h.at, h.contact.place.column, h.rule, h.symbol))

    def _of_contacts(self, contacts: Iterable[Contact]) -> Iterator[Hit]:
        new = self.sides.new
        for contact in contacts:
            guard = contact.guard
            if not reached(guard, new.version) or self._is_dead(contact):
                continue
            if guard.failed and all(new.has(path) for path in guard.failed):
                continue  # only tried where the first import fails
            for hit in _JUDGES[contact.kind](self.sides, contact):
                softened = self._softened(hit, contact)
                if softened is not None:
                    yield softened

    def _is_dead(self, contact: Contact) -> bool:
        """Whether a test rules the place out; what is itself looked for first is told nevertheless."""
        for text, holds in contact.guard.tests:
            met = self._asked.holds(text)
            if met is not None and met != holds and not (holds and self._is_looked_for(contact)):
                return True
        return False

    def _is_looked_for(self, contact: Contact) -> bool:
        name = contact.name or contact.path.rpartition(".")[2]
        return name in contact.guard.present or contact.path in contact.guard.present

    def _takes(self, path: str, argument: str) -> bool | None:
        """Whether something of the new version takes an argument; None where that cannot be told."""
        found = self.sides.new.one(path)
        if isinstance(found, Class):
            signature = self.sides.new.constructor(found)
        else:
            signature = found.signature if isinstance(found, Function) else None
        return None if signature is None else signature.get(argument) is not None

    def _escapes(self, contact: Contact, kind: str) -> bool:
        """Whether `except ModuleNotFoundError` misses it: what a module that is there lacks is an `ImportError`."""
        if kind != "import" or contact.guard.caught != {"ModuleNotFoundError"} or contact.detail == "module":
            return False
        return self.sides.new.has(contact.path.rpartition(".")[0])

    def _softened(self, hit: Hit, contact: Contact) -> Hit | None:
        """None where the project has an answer of its own, weaker where it only goes on without."""
        guard = contact.guard
        if hit.level == "note":
            return hit
        if contact.used == "type":
            return replace(hit, level="note", says=f"{hit.says} Only type checkers see this.")
        if guard.instead and contact.kind in _IMPORTS and all(self.sides.new.has(path) for path in guard.instead):
            return None
        if self._is_looked_for(contact):
            return weaker(hit, "The project looks for it first, and goes on without.")
        kind = "import" if contact.kind in ("import", "string-path") else contact.kind
        if handles(guard, kind) and not self._escapes(contact, kind):
            return weaker(hit, "The project catches the error, and goes on without.")
        unclear = guard.gates and self.sides.new.version is None
        if hit.level == "error" and (unclear or any(self._asked.holds(text) is None for text, _ in guard.tests)):
            return weaker(hit, "It stands under a condition on the version that cannot be followed.")
        return self._doubts.weighed(hit, contact)
