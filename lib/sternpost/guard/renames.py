"""Which of the new things is one of the lost things under another name."""

import difflib
from collections.abc import Callable, Sequence
from functools import lru_cache

from .facts import INTERNAL, Fact

MAX_PAIRS = 90_000
"""Beyond this many pairs of lost and new things of one kind they are not compared: such a diff is a new package."""

SAME_BODY, OTHER_BODY = 0.8, 0.2
"""Shares of what two bodies have in common from which on they are the same, and up to which they are not."""

NEARLY_SAME_NAME = 0.85
"""Names so much alike that a function may have been rewritten as well."""

_PLAIN_DEFAULTS = {None, "None", "False", "True", "0", "1", "''", "[]", "{}"}
"""Defaults that so many options have that sharing one says nothing."""
_FLAGS = ("True", "False")
"""Switches: one in the place of another is the same only if the names are alike."""
_PLAIN_TYPES = {"int", "float", "bool", "str", "bytes", "list", "dict"}


def match(lost: Sequence[Fact], fresh: Sequence[Fact], alike: Callable[[Fact, Fact], float]) -> dict[Fact, Fact]:
    """Pairs of lost and new facts that are probably the same thing: the most alike first, each used once.

    `alike` gives a score; pairs below 1 are no pairs.
    """
    scored = []
    for kind in {fact.kind for fact in lost}:
        before = [fact for fact in lost if fact.kind == kind]
        after = [fact for fact in fresh if fact.kind == kind]
        if len(before) * len(after) <= MAX_PAIRS:
            scored += [(alike(old, new), old.key, new.key, old, new) for old in before for new in after]
    pairs: dict[Fact, Fact] = {}
    for score, _, _, old, new in sorted(scored, key=lambda item: (-item[0], item[1], item[2])):
        if score >= 1 and old not in pairs and new not in pairs.values():
            pairs[old] = new
    return pairs


@lru_cache(maxsize=100_000)
def name_likeness(old: str, new: str) -> float:
    """0 to 1: letters in common, or words in common whatever their order."""
    old, new = old.strip("-*_").lower(), new.strip("-*_").lower()
    letters = difflib.SequenceMatcher(None, old, new, autojunk=False).ratio()
    words, others = set(_words(old)), set(_words(new))
    common = len(words & others) / max(len(words | others), 1)
    contained = 0.75 if min(len(old), len(new)) >= 3 and (old in new or new in old) else 0.0
    return max(letters, common, contained)


def names_alike(old: Fact, new: Fact) -> float:
    """For things that are little more than their name: metrics, columns, flags."""
    return name_likeness(old.name, new.name) / 0.7


def arguments_alike(old_order: Sequence[str], new_order: Sequence[str]) -> Callable[[Fact, Fact], float]:
    """For arguments and fields: what they are called, where they stand, what they default to.

    An argument that stands in the same place with the same default is the same one, whatever its name is, unless it is
    a switch: there are too many of them. A keyword-only one needs a similar name, or a default that few others have.
    """

    def alike(old: Fact, new: Fact) -> float:
        kinds = (old.get("kind"), new.get("kind"))
        if kinds[0] != kinds[1] and kinds != (None, "positional-only"):
            return 0.0
        likeness = name_likeness(old.name, new.name)
        same_default = old.get("default") == new.get("default")
        same = same_default and old.get("type") == new.get("type")
        if old.name in old_order and new.name in new_order:
            place = old_order.index(old.name) == new_order.index(new.name)
            if likeness < 0.5 and _other_type(old.get("type"), new.get("type")):
                return 0.0
            if likeness < 0.5 and same_default and old.get("default") in _FLAGS:
                return 0.0
            return 2 + likeness if place and same_default else (likeness + 0.4 * place + 0.3 * same) / 1.1
        telling = same and old.get("default") not in _PLAIN_DEFAULTS
        return (likeness + 0.3 * same + 0.6 * telling) / (0.85 if same else 0.8)

    return alike


def members_alike(old_members: frozenset[str], new_members: frozenset[str], old: Fact, new: Fact) -> float:
    """For classes, functions, methods and constants: the name, and how much of what belongs to them is the same."""
    if old.kind != new.kind:
        return 0.0
    (module, first), (other, second) = (_split(fact) for fact in (old, new))
    likeness, body = name_likeness(first, second), _bodies_alike(old, new)
    if body is not None and body >= SAME_BODY:
        return 1 + body + likeness
    if module != other and first != second and INTERNAL in (old.get("tier"), new.get("tier")):
        return 0.0  # nobody promised either: only what kept its name or its place is looked for
    if body is not None and body <= OTHER_BODY and likeness < NEARLY_SAME_NAME:
        return 0.0
    if old.kind == "constant":
        same = old.get("value") == new.get("value")
        return likeness / (0.75 if same else 0.9) if module == other else 2.0 if same and first == second else 0.0
    if not old_members and not new_members:
        return likeness / 0.75
    shared = len(old_members & new_members) / len(old_members | new_members)
    if first == second:
        return 2.0 if shared > 0.3 else 0.0  # moved to another module
    telling = shared if len(old_members | new_members) > 1 else 0.6 * shared  # one argument is easily the same
    return max((likeness + 1.5 * telling) / 1.5 if shared > 0.5 else 0.0, likeness / 0.8 if shared > 0.3 else 0.0)


def _bodies_alike(old: Fact, new: Fact) -> float | None:
    """The share of their words that two functions probably have in common; None where bodies are not stated."""
    before, after = old.get("body"), new.get("body")
    if before is None or after is None or len(before) != len(after):
        return None
    pairs = [before[i : i + 2] == after[i : i + 2] for i in range(0, len(before), 2)]
    return sum(pairs) / len(pairs)


def _other_type(old: str | None, new: str | None) -> bool:
    """Whether two types have nothing in common, and one of them is as plain as a number or a text."""
    before, after = ({part for part in (type_ or "").split(" | ") if part != "None"} for type_ in (old, new))
    plain = any(side and side <= _PLAIN_TYPES for side in (before, after))
    return plain and bool(before and after) and not before & after


def _split(fact: Fact) -> tuple[str, str]:
    """The path of what holds a thing, and its own name."""
    if fact.name:
        return fact.owner, fact.name
    module, _, name = fact.owner.rpartition(".")
    return module, name


def _words(name: str) -> list[str]:
    return [word for word in name.replace("-", "_").replace("/", "_").replace(".", "_").split("_") if word]
