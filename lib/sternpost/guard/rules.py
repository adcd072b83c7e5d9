"""The promises, as data: which difference breaks whom, and how to spare them.

Every change of `diff` meets at most one rule. A rule's sentence may use `{name}`, `{owner}`, `{old}`, `{new}` (the
details that changed), `{now}` (the name on the new side) and `{also}`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

from .changes import Change, Op
from .facts import EXPERIMENTAL, NAMES

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
    when: Callable[[Change], bool] = lambda change: True

    def meets(self, change: Change) -> bool:
        """Whether the change breaks this promise."""
        about = change.kind in self.kinds and change.op in self.ops
        return about and (change.op != "changed" or change.detail == self.detail) and self.when(change)


def _required(change: Change) -> bool:
    return change.new is not None and change.new.get("default") is None and not _catches_all(change)


def _optional(change: Change) -> bool:
    return not _required(change)


def _catches_all(change: Change) -> bool:
    return change.fact.get("kind") in ("args", "kwargs")


def _not_constructor(change: Change) -> bool:
    return change.new is not None and change.new.get("init") == "no"


def _narrowed(change: Change) -> bool:
    """By position or by keyword, one way to pass the argument is gone."""
    return change.after in ("keyword-only", "positional-only")


def _raised(change: Change) -> bool:
    return change.after is not None and (change.before is None or _version(change.after) > _version(change.before))


def _lowered(change: Change) -> bool:
    if change.after is None or change.before is None:
        return change.before is None
    before, after = _version(change.before), _version(change.after)
    return after < before or (after == before and not change.after.startswith("<="))


def _version(text: str) -> Version:
    try:
        return Version(text.lstrip("<=>").removesuffix(".*"))
    except InvalidVersion:
        return Version("0")


_KEYWORD = "who passes it by name"
_POSITION = "who passes arguments by position"
_CONFIG = "who sets it in Python, in a YAML file or on the command line"

RULES: tuple[Rule, ...] = (
    # ---- Names
    Rule(
        "name-removed", "major", NAMES, ("removed",),
        "`{owner}` can no longer be imported.",
        "who imports it, subclasses it or names it in a string",
        "Keep the old name for a minor release, with a deprecation that says what to use instead.",
    ),
    Rule(
        "name-renamed", "major", NAMES, ("renamed",),
        "`{owner}` is gone; `{now}` is probably the same thing.",
        "who imports it, subclasses it or names it in a string",
        "Keep the old name as an alias of the new one for a minor release, with a deprecation.",
    ),
    Rule(
        "name-kind-changed", "major", NAMES, ("changed",),
        "`{owner}` is no longer a {old_kind} but a {new_kind}.",
        "who calls, subclasses or inspects it as what it was",
        "Keep the old object under its name and give the new one another.",
        detail="kind",
    ),
    Rule(
        "name-unstable", "major", NAMES, ("changed",),
        "`{owner}` was stable and is now {new}: nothing is promised about it any more.",
        "who relied on it",
        "Announce the demotion in a minor release, and keep the room as it is until the next major one.",
        detail="tier", when=lambda change: change.after == EXPERIMENTAL,
    ),
    Rule(
        "base-removed", "major", ("base",), ("removed",),
        "`{owner}` no longer inherits from `{name}`.",
        "who tests `isinstance`, or uses what was inherited",
        "Keep the base class, if need be an empty one, until the next major release.",
    ),
    Rule(
        "constant-changed", "minor", ("constant",), ("changed",),
        "The value of `{owner}` changed.",
        "who compares with the old value",
        "Say so in the changelog.",
        detail="value",
    ),
    # ---- Members of classes
    Rule(
        "method-removed", "major", ("method",), ("removed",),
        "`{owner}` no longer defines `{name}`.",
        "who calls it, and subclasses that override it or call it by `super()`",
        "Keep it, with a deprecation, for a minor release. If it is still inherited from a base outside this package, allow it.",
    ),
    Rule(
        "method-renamed", "major", ("method",), ("renamed",),
        "`{owner}.{name}` is gone; `{now}` is probably the same thing.",
        "who calls it, and subclasses: their override is never called again",
        "Keep a method of the old name that calls the new one, with a deprecation, for a minor release.",
    ),
    Rule(
        "method-kind-changed", "major", ("method",), ("changed",),
        "`{owner}.{name}` is called differently: {detail} was {old}, is {new}.",
        "who calls it, and subclasses that override it",
        "Keep the old form under its name and give the new one another.",
        detail="binding",
    ),
    Rule(
        "method-async-changed", "major", ("method",), ("changed",),
        "`{owner}.{name}` must now be awaited, or no longer.",
        "who calls it, and subclasses that override it",
        "Keep the old form under its name and give the new one another.",
        detail="async",
    ),
    Rule(
        "attribute-removed", "major", ("attribute",), ("removed",),
        "Class attribute `{name}` of `{owner}` is gone.",
        "who reads it, and subclasses that set it",
        "Keep it until the next major release.",
    ),
    Rule(
        "attribute-renamed", "major", ("attribute",), ("renamed",),
        "Class attribute `{name}` of `{owner}` is gone; `{now}` is probably the same thing.",
        "who reads it, and subclasses that set it",
        "Read the old name too, with a deprecation, for a minor release.",
    ),
    Rule(
        "attribute-changed", "minor", ("attribute",), ("changed",),
        "The value of `{owner}.{name}` changed.",
        "who reads it",
        "Say so in the changelog.",
        detail="value",
    ),
    # ---- Hooks
    Rule(
        "hook-removed", "major", ("hook",), ("removed",),
        "`{name}` is no longer a hook of `{owner}`.",
        "subclasses that override it: their method may silently never be called again",
        "Keep calling it for a minor release, and warn when a subclass defines it.",
    ),
    Rule(
        "hook-renamed", "major", ("hook",), ("renamed",),
        "Hook `{name}` of `{owner}` is gone; `{now}` is probably the same thing.",
        "subclasses that override it: their method is silently never called again",
        "Call the old name when a subclass defines it, with a deprecation, for a minor release.",
    ),
    Rule(
        "hook-argument-added", "major", ("param",), ("added",),
        "Hook `{owner}` has a new argument `{name}`.",
        "subclasses that override it: their method does not take what it is now called with",
        "Pass the value in another way, on `self` say; or call overrides that do not take it without it.",
        when=lambda change: change.hook and not _catches_all(change),
    ),
    # ---- Arguments
    Rule(
        "argument-removed", "major", ("param",), ("removed",),
        "`{owner}` no longer takes `{name}`.",
        f"{_KEYWORD}: TypeError; {_POSITION}: the next argument gets the value",
        "Accept it for a minor release, ignore it if it has no effect any more, and say so in a deprecation.",
    ),
    Rule(
        "argument-renamed", "major", ("param",), ("renamed",),
        "Argument `{name}` of `{owner}` is gone; `{now}` is probably the same thing.",
        f"{_KEYWORD}: TypeError",
        "Accept the old name for a minor release, with a deprecation, and pass it on to the new one.",
    ),
    Rule(
        "argument-moved", "major", ("param",), ("moved",),
        "{also} of `{owner}` stand in another place.",
        f"{_POSITION}: their values arrive elsewhere, often silently",
        "Add new arguments at the end or keyword-only, and leave the order of the others alone.",
    ),
    Rule(
        "argument-kind-changed", "major", ("param",), ("changed",),
        "{all} of `{owner}` can only be passed one way now: {new}.",
        "who passes the argument the other way: TypeError",
        "Accept both ways for a minor release, with a deprecation.",
        detail="kind", when=_narrowed,
    ),
    Rule(
        "argument-default-changed", "major", ("param",), ("changed",),
        "The default of `{name}` of `{owner}` changed.",
        "everyone who does not pass it: what they get changes silently",
        "Keep the default until the next major release; or announce it, and warn who does not pass the argument.",
        detail="default",
    ),
    Rule(
        "argument-now-required", "major", ("param",), ("changed",),
        "`{owner}` now needs `{name}`.",
        "everyone who does not pass it: TypeError",
        "Keep a default; where there is no good one, None with an error that says what to pass.",
        detail="required", when=_required,
    ),
    Rule(
        "argument-added-required", "major", ("param",), ("added",),
        "`{owner}` has a new argument `{name}` that must be given.",
        "every caller: TypeError",
        "Give it a default that keeps what callers have now.",
        when=lambda change: _required(change) and not change.hook,
    ),
    # ---- Fields
    Rule(
        "field-removed", "major", ("field",), ("removed",),
        "`{owner}` no longer defines option `{name}`.",
        f"{_CONFIG}; and if the option is inherited, everyone for whom the default is now another",
        "Accept it for a minor release, ignore it if it has no effect any more, and say so in a deprecation.",
    ),
    Rule(
        "field-renamed", "major", ("field",), ("renamed",),
        "Option `{name}` of `{owner}` is gone; `{now}` is probably the same thing.",
        _CONFIG,
        "Keep the old name as a deprecated option that sets the new one, for a minor release.",
    ),
    Rule(
        "field-moved", "major", ("field",), ("moved",),
        "{also} of `{owner}` stand in another place.",
        f"{_POSITION}: their values arrive elsewhere, often silently",
        "Make the fields keyword-only; until then add new ones at the end.",
    ),
    Rule(
        "field-kind-changed", "major", ("field",), ("changed",),
        "{all} of `{owner}` can only be passed one way now: {new}.",
        "who passes the option by position: TypeError",
        "Leave options that were positional as they are until the next major release.",
        detail="kind", when=_narrowed,
    ),
    Rule(
        "field-not-accepted", "major", ("field",), ("changed",),
        "`{owner}` no longer accepts `{name}`: it is computed.",
        _CONFIG,
        "Accept and ignore it for a minor release, with a deprecation.",
        detail="init", when=_not_constructor,
    ),
    Rule(
        "field-default-changed", "major", ("field",), ("changed",),
        "The default of option `{name}` of `{owner}` changed.",
        "everyone who does not set it: their runs change silently",
        "Keep the default until the next major release; or announce it in a minor one, with a warning where it matters.",
        detail="default",
    ),
    Rule(
        "field-now-required", "major", ("field",), ("changed",),
        "`{owner}` now needs option `{name}`.",
        "everyone who does not set it: TypeError",
        "Keep a default; where there is no good one, None with an error that says what to set.",
        detail="required", when=_required,
    ),
    Rule(
        "field-added-required", "major", ("field",), ("added",),
        "`{owner}` has a new option `{name}` that must be given.",
        "everyone who makes one: TypeError",
        "Give it a default that keeps what users have now.",
        when=lambda change: _required(change) and not _not_constructor(change),
    ),
    Rule(
        "choice-removed", "major", ("choice",), ("removed", "renamed"),
        "`{owner}` no longer accepts {name}.",
        "who uses that value",
        "Accept it for a minor release, with a deprecation that names what to use instead.",
    ),
    # ---- Rooms
    Rule(
        "row-removed", "major", ("row",), ("removed", "renamed"),
        "Rows of format `{name}` are no longer accepted by `{owner}`.",
        "who has data of that format",
        "Convert such rows for a minor release, with a deprecation.",
    ),
    Rule(
        "column-removed", "major", ("column",), ("removed", "renamed"),
        "Column `{name}` is no longer read by `{owner}`.",
        "who has data with that column: it is ignored, or an error",
        "Read the old column for a minor release, with a deprecation.",
    ),
    Rule(
        "column-required", "major", ("column",), ("added",),
        "Rows of `{owner}` now need column `{name}`.",
        "who has data without it",
        "Do without it when it is not there.",
        when=lambda change: change.new is not None and change.new.get("required") == "yes",
    ),
    Rule(
        "batch-key-removed", "major", ("batch",), ("removed", "renamed"),
        "Batches of `{owner}` no longer have `{name}`.",
        "who reads it in a hook, a scorer or a collator",
        "Keep the key for a minor release.",
    ),
    Rule(
        "batch-shape-changed", "major", ("batch",), ("changed",),
        "`{name}` in batches of `{owner}` has another shape.",
        "who reads it in a hook, a scorer or a collator",
        "Give the new shape a new key, and keep the old one for a minor release.",
        detail="shape",
    ),
    Rule(
        "metric-removed", "major", ("metric",), ("removed", "renamed"),
        "Metric `{name}` of `{owner}` is no longer logged.",
        "dashboards, sweeps and `metric_for_best_model` that name it",
        "Log it under both names for a minor release.",
    ),
    Rule(
        "checkpoint-file-removed", "major", ("checkpoint",), ("removed", "renamed"),
        "Checkpoints of `{owner}` no longer hold `{name}`.",
        "who loads or uploads that file",
        "Write it for a minor release.",
    ),
    # ---- Command line and distribution
    Rule(
        "command-removed", "major", ("command",), ("removed", "renamed"),
        "Command `{owner} {name}` is gone.",
        "scripts that call it",
        "Keep the command for a minor release, with a deprecation.",
    ),
    Rule(
        "flag-removed", "major", ("flag",), ("removed", "renamed"),
        "`{owner}` no longer takes `{name}`.",
        "scripts and YAML files that use it",
        "Accept it for a minor release, with a deprecation.",
    ),
    Rule(
        "script-removed", "major", ("script",), ("removed", "renamed"),
        "Script `{name}` is no longer installed.",
        "shells and job files that call it",
        "Install it for a minor release, with a deprecation.",
    ),
    Rule(
        "extra-removed", "major", ("extra",), ("removed", "renamed"),
        "`{owner}[{name}]` can no longer be asked for when installing.",
        "requirement files: pip only warns and installs less than before",
        "Keep the extra, if need be an empty one.",
    ),
    Rule(
        "dependency-floor-raised", "major", ("dependency",), ("changed",),
        "`{owner}` now needs a newer `{name}`.",
        "who must stay on the older version: the resolver refuses, or picks an old release of this package",
        "Support the older version for as long as it is in use; or allow the raise and say why.",
        detail="floor", when=_raised,
    ),
    Rule(
        "dependency-ceiling-lowered", "major", ("dependency",), ("changed",),
        "`{owner}` no longer works with the newest versions of `{name}` that it worked with.",
        "who has installed one of them",
        "Fix what does not work with them; or allow the limit and say why.",
        detail="ceiling", when=_lowered,
    ),
    Rule(
        "python-floor-raised", "major", ("python",), ("changed",),
        "Older versions of Python are no longer supported.",
        "who must stay on them",
        "Drop a version of Python when it has reached its end of life, and say so one release ahead.",
        detail="floor", when=_raised,
    ),
    # ---- What breaks nobody
    Rule(
        "added", "minor", (*NAMES, "method", "attribute", "hook", "param", "field", "choice", "row", "column", "batch",
                           "metric", "checkpoint", "command", "flag", "script", "extra", "dependency", "python"), ("added",),
        "{path} is new.",
        "nobody",
        "Say so in the changelog.",
        when=lambda change: not _breaks_when_added(change),
    ),
    Rule(
        "loosened", "minor", ("param", "field"), ("changed",),
        "`{name}` of `{owner}` is optional now.",
        "nobody",
        "Say so in the changelog.",
        detail="required", when=_optional,
    ),
)  # fmt: skip


def _breaks_when_added(change: Change) -> bool:
    return any(rule.meets(change) for rule in RULES if rule.bump == "major" and "added" in rule.ops)
