"""Changes judged by the rules: what a person has to know about each, in one place."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from .changes import Change
from .facts import EXPERIMENTAL, INTERNAL, NAMES, Fact, Origin
from .foreign import foreign_base
from .rules import Bump, Rule, all_rules


@dataclass(frozen=True)
class Witness:
    """A consumer that was run on both sides of a break: `before` and `after` are its errors, None where it works."""

    snippet: str
    before: str | None
    after: str | None

    @property
    def confirms(self) -> bool:
        return self.before is None and self.after is not None


@dataclass(frozen=True)
class Finding:
    """One judged change. `blocking` is false for what breaks nobody and for what was never promised."""

    rule: str
    bump: Bump
    subject: str
    says: str
    hit: str
    soften: str
    old: str | None = None
    new: str | None = None
    old_at: Origin | None = None
    new_at: Origin | None = None
    tier: str = "stable"
    also: tuple[str, ...] = ()
    """Other subjects that the same cause breaks."""
    change: Change | None = field(default=None, compare=False, repr=False)
    """The first of the changes with this cause."""
    witness: Witness | None = None

    @property
    def blocking(self) -> bool:
        return self.bump == "major" and self.tier not in (EXPERIMENTAL, INTERNAL)


MIN_SIBLINGS = 3
"""As many callables of a module that lost the same argument are one cause."""

MAX_LISTED = 30
"""Of longer lists the rest is counted."""


def listed(names: Sequence[str]) -> str:
    """The names, or the first of them and how many there are more."""
    more = [f"and {len(names) - MAX_LISTED} more"] if len(names) > MAX_LISTED else []
    return ", ".join([*names[:MAX_LISTED], *more])


_OVERRIDES = ", and subclasses that override it"
_MISSING = {"binding": "ordinary", "kind": "positional or keyword", "floor": "any", "ceiling": "any", "async": "no"}
"""What it means when a fact does not have one of these details."""


def judge(changes: Iterable[Change], rules: Iterable[Rule] | None = None) -> list[Finding]:
    """The findings, one per cause, breaks first."""
    known = all_rules() if rules is None else tuple(rules)
    causes: dict[object, Finding] = {}
    for change in changes:
        for rule in known:
            if rule.meets(change):
                finding = _finding(rule, change)
                key = _cause(rule, change)
                first = causes.setdefault(key, finding)
                if first is not finding:
                    causes[key] = _joined(first, finding)
    return sorted(_siblings(causes.values()), key=lambda f: (not f.blocking, f.bump, f.subject, f.rule))


def _joined(one: Finding, other: Finding) -> Finding:
    """Two findings of one cause: what was promised comes first, then what is no one's heir."""
    first, second = sorted((one, other), key=lambda f: (not f.blocking, f.change is None or _source(f) is not None))
    return replace(first, also=(*first.also, second.subject, *(name for name in second.also if name != first.subject)))


def _source(finding: Finding) -> str | None:
    return finding.change.fact.get("from") if finding.change is not None else None


def _siblings(findings: Iterable[Finding]) -> Iterator[Finding]:
    """One argument that several callables of a module lost is told once."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        change = finding.change
        key: object = id(finding)
        if finding.rule == "argument-removed" and change is not None and finding.old is not None:
            module = (change.fact.owner.rpartition(".")[0], finding.new_at.file if finding.new_at else "")
            key = (module, change.fact.name, finding.old, finding.tier, finding.bump, change.due)
        groups.setdefault(key, []).append(finding)
    for group in groups.values():
        if len(group) < MIN_SIBLINGS:
            yield from group
        else:
            first, *others = sorted(group, key=lambda finding: finding.subject)
            yield replace(first, also=(*first.also, *(name for f in others for name in (f.subject, *f.also))))


def _cause(rule: Rule, change: Change) -> object:
    """Changes with the same cause compare equal: one of a private base shows in every class that inherits from it."""
    inherited = change.fact.get("from")
    if rule.id == "warning-silenced":
        return (rule.id, change.before)  # who stops warning does so everywhere
    if inherited is None and change.old is not None and change.old.kind in NAMES:
        return (rule.id, change.fact.key, change.op, change.also)
    kind, name = change.fact.kind, change.fact.name
    return (rule.id, inherited or change.fact.owner, kind, name, change.op, change.before, change.after)


def _finding(rule: Rule, change: Change) -> Finding:
    old, new, fact = change.old, change.new, change.fact
    also = tuple(f"`{name}`" for name in change.also)
    words = {
        "name": fact.name,
        "owner": fact.owner.replace(":", " ") if fact.kind in ("flag", "command") else fact.owner,
        "path": fact.path,
        "now": (new.name or new.owner) if new else "",
        "old": change.before or _MISSING.get(change.detail, ""),
        "new": change.after or _MISSING.get(change.detail, ""),
        "old_kind": old.kind if old else "",
        "new_kind": new.kind if new else "",
        "also": listed(also),
        "all": listed((f"`{fact.name}`", *also)),
        "via": fact.get("via") or "",
        "text": fact.name.replace("-", " "),
    }
    if change.op == "moved":
        words["owner"] = fact.path
    says = rule.says.format(**words)
    if change.op == "renamed" and "now" not in rule.says and new is not None:
        says += f" `{words['now']}` is probably the same thing."
    if change.op == "removed" and new is not None:
        says += f" It is still there as `{new.owner}`."
    source = (old.get("from") if old else None) or ""
    if change.detail == "default" and foreign_base(source):
        says += f" Inherited before: {words['old']} is the default of `{source}`."
    source = (new.get("from") if new else None) or ""
    if change.detail == "default" and foreign_base(source):
        says += f" Inherited now: {words['new']} is the default of `{source}`."
    if change.due:
        says += f" That was announced for {change.due}."
    return Finding(
        rule=rule.id,
        bump="minor" if change.due else rule.bump,
        subject=fact.path,
        says=says,
        hit=rule.hit + (_OVERRIDES if change.hook and change.kind == "param" and change.op != "added" else ""),
        soften=rule.soften,
        old=_shown(old, change),
        new=_shown(new, change),
        old_at=old.origin if old else None,
        new_at=new.origin if new and new.origin else change.near,
        tier=change.tier,
        also=change.also if change.kind in (*NAMES, "key", "metric") else (),
        change=change,
    )


def _shown(fact: Fact | None, change: Change) -> str | None:
    """One side of a change; of a long signature the part up to the last argument that moved."""
    if fact is None:
        return None
    if change.op != "moved":
        return describe(fact)
    names = (fact.get("order") or "").split(",")
    last = max((names.index(name) for name in change.also if name in names), default=len(names))
    shown = [*names[: last + 1], *(["..."] if len(names) > last + 1 else [])]
    return f"{fact.name or fact.owner}({', '.join(shown)})"


def describe(fact: Fact) -> str:
    """A fact the way Python would write it, where Python can."""
    name = fact.name or fact.owner
    if fact.kind in ("field", "param"):
        type_, default = fact.get("type"), fact.get("default")
        text = name + (f": {type_}" if type_ else "") + ("" if default is None else f" = {default}")
        notes = [kind] if (kind := fact.get("kind")) in ("keyword-only", "positional-only") else []
        notes += ["not an argument"] if fact.get("init") == "no" else []
        notes += ["by `__post_init__`"] if fact.get("settled") not in (None, "?") else []
        return text + (f" ({', '.join(notes)})" if notes else "")
    if fact.get("order") is not None:
        words = [*(["async"] if fact.get("async") else []), (fact.get("binding") or "").strip("?"), fact.kind]
        return f"{' '.join(filter(None, words))} {name}({(fact.get('order') or '').replace(',', ', ')})"
    if fact.get("binding") == "property":
        return f"property {name}"
    if fact.kind in ("constant", "attribute"):
        return name + (f" = {fact.get('value')}" if fact.get("value") is not None else "")
    rest = [f"{key}={value}" for key, value in fact.details if key not in ("tier", "from", "room", "field")]
    return " ".join([fact.kind, name, *rest])
