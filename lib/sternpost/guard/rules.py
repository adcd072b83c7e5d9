"""The promises of `rules.toml`, and the conditions that they name."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from packaging.version import InvalidVersion, Version

from .changes import Change, Op
from .facts import EXPERIMENTAL, INTERNAL, KINDS, LEGACY, NAMES, STABLE, UNTOLD, Fact

Bump = Literal["major", "minor", "patch"]


@dataclass(frozen=True)
class Rule:
    """One promise: the changes that it speaks of, the release that they need, and what to tell about them."""

    id: str
    bump: Bump
    kinds: tuple[str, ...]
    ops: tuple[Op, ...]
    says: str
    hit: str
    soften: str
    detail: str = ""
    when: Callable[[Change], bool] | None = None

    def meets(self, change: Change) -> bool:
        """Whether the change is one that this rule speaks of."""
        about = change.kind in self.kinds and change.op in self.ops
        return (
            about and (change.op != "changed" or change.detail == self.detail) and (not self.when or self.when(change))
        )


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, in the order of the file."""
    data = tomllib.loads(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))
    return tuple(_read(entry) for entry in data["rule"])


def _read(entry: dict) -> Rule:
    groups = {"names": NAMES, "any": tuple(KINDS)}
    kinds = tuple(kind for named in entry["kinds"] for kind in groups.get(named, (named,)))
    when = CONDITIONS[entry["when"]] if "when" in entry else None
    return Rule(**entry | {"kinds": kinds, "ops": tuple(entry["ops"]), "when": when})


# ---- Conditions


def required(change: Change) -> bool:
    """Callers have to give it. A new argument of a hook is another matter: there we are the caller."""
    new = change.new
    called = not (change.hook and change.op == "added")
    return called and new is not None and new.get("default") is None and not _optional(new)


def loosened(change: Change) -> bool:
    return change.after is None and change.new is not None and change.new.get("default") is not None


def new_for_overrides(change: Change) -> bool:
    """A hook is called with an argument that overrides of it may not take."""
    named = change.fact.get("kind") not in ("args", "kwargs", "deprecated") and change.fact.get("default") != UNTOLD
    return change.hook and named


def narrowed(change: Change) -> bool:
    """By position or by keyword, one way to pass the argument is gone."""
    return change.after in ("keyword-only", "positional-only")


def not_accepted(change: Change) -> bool:
    return change.after == "no"


def unstable(change: Change) -> bool:
    return change.after == EXPERIMENTAL


def withdrawn(change: Change) -> bool:
    return change.before in (STABLE, LEGACY) and change.after == INTERNAL


def abstract(change: Change) -> bool:
    """Who implements the class has to define it now."""
    return change.new is not None and change.new.get("abstract") == "yes"


def grown(change: Change) -> bool:
    """What is gone from a tuple is told by itself."""
    return int(change.after or 0) > int(change.before or 0)


def column_required(change: Change) -> bool:
    return change.new is not None and change.new.get("required") == "yes"


def raised(change: Change) -> bool:
    """A lower end is higher, or new."""
    return change.after is not None and (change.before is None or _version(change.after) > _version(change.before))


def lowered(change: Change) -> bool:
    """An upper end is lower, or new."""
    if change.after is None or change.before is None:
        return change.before is None
    before, after = _version(change.before), _version(change.after)
    return after < before or (after == before and change.before.startswith("<=") and not change.after.startswith("<="))


def harmless(change: Change) -> bool:
    """Nothing that was written before has to know of what is new."""
    return not any(rule.meets(change) for rule in all_rules() if rule.id != "added" and "added" in rule.ops)


def elsewhere(change: Change) -> bool:
    """What is lost here is still there in another place."""
    return change.new is not None


def nowhere(change: Change) -> bool:
    return change.new is None


def silenced(change: Change) -> bool:
    """A warning that filters and tests could see is only logged now."""
    return change.before not in (None, "log") and change.after == "log"


CONDITIONS: dict[str, Callable[[Change], bool]] = {
    condition.__name__: condition
    for condition in (
        required,
        loosened,
        new_for_overrides,
        narrowed,
        not_accepted,
        unstable,
        withdrawn,
        abstract,
        grown,
        column_required,
        raised,
        lowered,
        harmless,
        elsewhere,
        nowhere,
        silenced,
    )
}


def _optional(fact: Fact) -> bool:
    return fact.get("kind") in ("args", "kwargs", "deprecated") or fact.get("init") == "no"


def _version(text: str) -> Version:
    try:
        return Version(text.lstrip("<=>").removesuffix(".*"))
    except InvalidVersion:
        return Version("0")
