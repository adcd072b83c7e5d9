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
    "called-otherwise": ("error", "what was read must be called, or the reverse; awaited, entered or bound otherwise"),
    "default-shifted": ("warning", "a default that the project does not set has changed"),
    "option-gone": ("error", "an option is no longer there"),
    "option-ignored": ("warning", "an option that the project defines again is no longer read"),
    "option-new": ("note", "a new option is switched on"),
    "member-gone": ("error", "an inherited attribute or method is no longer there"),
    "attribute-needed": ("error", "the base reads what only its own constructor sets, which the project replaces"),
    "abstract-new": ("error", "a class cannot be made any more: it lacks a method that its base leaves to subclasses"),
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


REMEDIES: dict[str, str] = {
    "name-gone": "Nothing like it is left: keep a copy of what you need, or allow only versions that have it.",
    "string-path-gone": "Name what there is now, or drop the string.",
    "argument-gone": "Leave it out, or pass it only to versions that take it.",
    "argument-required": "Pass it.",
    "argument-moved": "Pass it by name.",
    "argument-swallowed": "Look up whether anything still reads it.",
    "result-changed": "Take apart what is returned now.",
    "called-otherwise": "Use it as what it is now.",
    "default-shifted": "Pass the old value if the old behaviour is wanted.",
    "option-gone": "Leave it out, or pass it only to versions that have it.",
    "option-ignored": "Drop it, or do yourself what it asked for.",
    "option-new": "Switch it off if the old behaviour is wanted.",
    "member-gone": "Nothing like it is left: set or define it in the project's own class.",
    "attribute-needed": "Set it in the project's own constructor, or call that of the base.",
    "abstract-new": "Define the method, or make what defines it.",
    "override-dead": "Move what it does to a method that is called, or drop it.",
    "override-argument": "Take what the base passes.",
    "override-narrow": "Take it, or `**kwargs`.",
    "override-result": "Return what the base takes apart.",
    "override-kind": "Make it what the base has made of it.",
    "override-new": "Rename the project's method, unless it is meant to replace the new one.",
    "write-dead": "Drop it, or set what the base reads now.",
    "patch-dead": "Drop the patch, or patch what is called now.",
    "patch-argument": "Take it, or `**kwargs`.",
    "patch-narrow": "Take it, or `**kwargs`.",
    "patch-new": "Look at the package's own: the patch may no longer be needed.",
    "patch-behind": "Compare the replacement with the new original.",
    "deprecated": "Look up in its warning what to use instead.",
    "reflection-hollow": "Inspect what it passes on to.",
    "reflection-changed": "Compare both sources.",
    "names-gone": "Make sure that nothing relied on finding them.",
    "anchor-gone": "Search for what the source says now: an edit of the text that finds nothing changes nothing.",
    "key-gone": "Look up what the package calls it now.",
    "refuses": "Make sure that nothing of the kind is passed.",
    "fallback": "Make sure that the other library's method does what is needed.",
    "undeclared": "Allow the version once the hits above are dealt with.",
}
"""What to do where nothing better is known of the case."""


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
    level, fix, cause = level or RULES[rule][0], fix or REMEDIES[rule], cause or f"{rule} {symbol}"
    return Hit(rule, level, contact, symbol, says, fix, cause, old_at, new_at, line)


def weaker(hit: Hit, because: str) -> Hit:
    """One level down: something in the project softens it."""
    level: Level = "warning" if hit.level == "error" else "note"
    return replace(hit, level=level, says=f"{hit.says} {because}")
