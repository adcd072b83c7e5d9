"""What another version does to a contact: the rules, and one hit of one of them."""

from dataclasses import dataclass, replace
from typing import Literal

from ..facts import Origin
from .contacts import Contact

Level = Literal["error", "warning", "note"]

RULES: dict[str, tuple[Level, str]] = {
    "name-gone": ("error", "what is imported or read is no longer there"),
    "string-path-gone": ("error", "a dotted path in a string leads nowhere"),
    "argument-gone": ("error", "a call passes an argument that is no longer taken"),
    "argument-required": ("error", "a call lacks an argument that must now be given"),
    "argument-moved": ("error", "a call by position hits another argument"),
    "argument-swallowed": ("warning", "an argument is taken by `**kwargs` now, and may be ignored"),
    "result-changed": ("error", "what is returned has another shape"),
    "default-shifted": ("warning", "a default that the project does not set has changed"),
    "option-gone": ("error", "an option is no longer there"),
    "option-ignored": ("warning", "an option that the project defines again is no longer read"),
    "option-new": ("note", "a new option is switched on"),
    "member-gone": ("error", "an inherited attribute or method is no longer there"),
    "attribute-needed": ("error", "the base reads what only its own constructor sets, which the project replaces"),
    "override-dead": ("warning", "nothing calls an override any more"),
    "override-argument": ("error", "the base passes an override what it does not take"),
    "override-narrow": ("warning", "the method in the base takes an argument that the override does not"),
    "override-result": ("error", "the base takes apart what an override does not return"),
    "override-kind": ("error", "the base uses a method as a property, or the reverse"),
    "override-new": ("warning", "a method of the project replaces a new one of the base"),
    "write-dead": ("warning", "an attribute is set that the base no longer knows"),
    "patch-dead": ("warning", "what is replaced is no longer there: the patch has no effect"),
    "patch-argument": ("error", "the package passes a replacement what it does not take"),
    "patch-narrow": ("warning", "what is replaced takes an argument that the replacement does not"),
    "patch-new": ("warning", "a patch hides something new of the package"),
    "patch-behind": ("note", "what is replaced has changed in the package"),
    "deprecated": ("warning", "what is used says that it is deprecated"),
    "reflection-hollow": ("warning", "what is inspected only passes on to something else now"),
    "reflection-changed": ("note", "what is inspected has changed"),
    "names-gone": ("warning", "a listing of names, or a pattern, no longer finds some of them"),
    "anchor-gone": ("warning", "the source no longer has the text that is searched for"),
    "key-gone": ("warning", "a key, metric, column or name in a string is no longer used by the package"),
    "refuses": ("note", "what is called or derived from raises where it did not"),
    "fallback": ("note", "a base has no method of its own any more: that of its base in another library acts"),
    "undeclared": ("note", "the project's own metadata does not allow this version"),
}
"""Every rule with its level and what it says."""


@dataclass(frozen=True)
class Hit:
    """One line of the project that another version breaks or changes. `cause` is the same for lines with one cause."""

    rule: str
    level: Level
    contact: Contact
    symbol: str
    says: str
    fix: str = ""
    cause: str = ""
    old_at: Origin | None = None
    new_at: Origin | None = None
    line: int = 0

    @property
    def place(self) -> str:
        return f"{self.contact.place.file}:{self.line or self.contact.place.line}"

    @property
    def at(self) -> int:
        return self.line or self.contact.place.line


def make_hit(
    rule: str,
    contact: Contact,
    symbol: str,
    says: str,
    *,
    fix: str = "",
    old_at: Origin | None = None,
    new_at: Origin | None = None,
    level: Level | None = None,
    line: int = 0,
    cause: str = "",
) -> Hit:
    """A hit at the level of its rule unless told otherwise."""
    return Hit(
        rule, level or RULES[rule][0], contact, symbol, says, fix, cause or f"{rule} {symbol}", old_at, new_at, line
    )


def weaker(hit: Hit, because: str) -> Hit:
    """One level down: something in the project softens it."""
    level: Level = "warning" if hit.level == "error" else "note"
    return replace(hit, level=level, says=f"{hit.says} {because}")
