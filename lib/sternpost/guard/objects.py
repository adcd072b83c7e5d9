"""Differences of names and of what belongs to them: constructors, fields, methods, hooks, attributes, bases."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from .callables import Signature, compare_signatures
from .changes import Change, Op
from .facts import EXPERIMENTAL, INTERNAL, Fact, Origin, Snapshot
from .flat import keyed
from .foreign import ancestors, inherited
from .renames import match, members_alike
from .values import is_data, same_value


class ObjectDiff:
    """Differences of names and of what belongs to them. `changed` holds the owners of facts that differ."""

    def __init__(self, old: Snapshot, new: Snapshot, changed: set[str]) -> None:
        self.old = old
        self.new = new
        self.touched = {whole for owner in changed for whole in (owner, *_wholes(owner))}
        self.complete = old.complete and new.complete
        self.gone = {owner for owner in old.owners("module") if owner not in new.names}
        self.renamed = self._renamed_names()

    def changes(self) -> Iterator[Change]:
        yield from self._lost_names()
        pairs: set[tuple[str, str]] = set()
        for path in sorted(self.old.names):
            old_home = self.old.home(path)
            new_home = self.new.home(path) or self.new.home(self.renamed.get(path, ""))
            if old_home == new_home and old_home not in self.touched:
                continue
            if old_home and new_home and (old_home, new_home) not in pairs:
                pairs.add((old_home, new_home))
                yield from self._object(self.old.names[old_home], self.new.names[new_home])
        taken = set(self.renamed.values())
        for path, fact in sorted(self.new.names.items()):
            if path not in self.old.names and path not in taken and not self._is_part_of_new(fact):
                yield Change("added", fact.kind, None, fact)

    def _lost_names(self) -> Iterator[Change]:
        """One change per lost object: other paths that it had go with it, and a module takes along what it held."""
        lost = [f for path, f in self.old.names.items() if path not in self.new.names and not self._may_be_made(path)]
        homes = {fact.owner for fact in lost}
        for fact in lost:
            home = self.old.home(fact.owner)
            whole = fact.owner.rpartition(".")[0]
            if whole in self.old.names and whole not in self.new.names and self.old.names[whole].kind != "module":
                continue  # a class takes along those in its body
            if inside(fact.owner, self.gone) or (fact.kind == "alias" and home != fact.owner and home in homes):
                continue
            if fact.kind == "module":
                also = [f.owner for f in lost if f.kind != "alias" and inside(f.owner, {fact.owner})]
            else:
                also = [p for p in self.old.paths.get(fact.owner, ()) if p != fact.owner and p not in self.new.names]
            op: Op = "renamed" if fact.owner in self.renamed else "removed"
            now = self.new.names[self.renamed[fact.owner]] if op == "renamed" else self._survivor(fact)
            near = self._near(fact.owner.rpartition(".")[0])
            yield Change(op, fact.kind, fact, now, near=near, also=tuple(sorted(also)))

    def _may_be_made(self, path: str) -> bool:
        """Whether the module of a lost name now makes names that cannot be read."""
        module = self.new.names.get(path.rpartition(".")[0])
        return module is not None and module.get("dynamic") is not None

    def _survivor(self, fact: Fact) -> Fact | None:
        """Another public path under which a lost name can still be imported."""
        home = self.old.home(fact.owner) or fact.owner
        paths = (path for path in self.old.paths[home] if path in self.new.names)
        found = next((path for path in paths if self.new.names[path].kind != "name"), None)
        return self.new.names[self.new.home(found) or found] if found else None

    def _renamed_names(self) -> dict[str, str]:
        """Old path -> new path of objects that are probably the same."""
        lost = [
            fact
            for path, fact in self.old.names.items()
            if path not in self.new.names
            and fact.kind not in ("alias", "module")
            and not inside(path, self.gone)
            and self._survivor(fact) is None
        ]
        fresh = [
            f for path, f in self.new.names.items() if path not in self.old.names and f.kind not in ("alias", "module")
        ]
        old_members = {fact: _members(self.old, fact.owner) for fact in lost}
        new_members = {fact: _members(self.new, fact.owner) for fact in fresh}
        pairs = match(lost, fresh, lambda a, b: members_alike(old_members[a], new_members[b], a, b))
        return {before.owner: after.owner for before, after in pairs.items()}

    def _is_part_of_new(self, fact: Fact) -> bool:
        """A further path of an object that is new as well, or a name in a module that is."""
        home = self.new.home(fact.owner)
        module = fact.owner.rpartition(".")[0]
        further = home != fact.owner and home not in self.old.names
        return further or (module in self.new.names and module not in self.old.names)

    def _near(self, module: str) -> Origin | None:
        fact = self.new.names.get(module)
        return fact.origin if fact else None

    # ---- One object, old and new

    def _object(self, old: Fact, new: Fact) -> Iterator[Change]:
        here = self.new.names.get(old.owner)  # a path that is gone is told as gone
        if here is not None and old.get("tier") != here.get("tier"):
            yield Change("changed", old.kind, old, here, "tier")
        if "name" in (old.kind, new.kind) or "alias" in (old.kind, new.kind):
            return  # at least one of them cannot be read
        if old.kind != new.kind:
            yield Change("changed", old.kind, old, new, "kind")
            return
        listed = {old.get("order"), new.get("order")} - {None}  # the fields of a named tuple say more than its value
        if old.kind == "constant" and not listed and not same_value(old.get("value"), new.get("value")):
            yield Change("changed", "constant", old, new, "value")
        if old.kind == "function" and self.complete and old.get("async") != new.get("async"):
            yield Change("changed", "function", old, new, "async")
        yield from _given(old, new)
        yield from self._bases(old, new)
        yield from self._callable(old, new, hook=False)
        yield from self._choices(old.owner, new.owner)
        yield from self._methods(old, new)
        yield from self._attributes(old.owner, new.owner, new.origin)

    def _bases(self, old: Fact, new: Fact) -> Iterator[Change]:
        """A base that has become one of a base is still there; one imported from elsewhere in its package is one."""
        kept = {_base_name(base) for base in ancestors(self.new, new.owner)}
        for fact in self.old.owned("base", old.owner):
            home = self.new.home(fact.name) or self.renamed.get(fact.name, fact.name)
            tier = self.old.tier(fact.name)
            promised = tier not in (EXPERIMENTAL, INTERNAL) or self.old.tier(old.owner) == tier
            if promised and _base_name(fact.name) not in kept and _base_name(home) not in kept:
                yield Change("removed", "base", fact, None, near=new.origin)

    def _callable(self, old: Fact, new: Fact, hook: bool) -> Iterator[Change]:
        """Arguments or fields, then the values that each accepts."""
        before, after = (_owner(old), _owner(new))
        renamed: dict[str, str] = {}
        found = []
        old_signature, new_signature = Signature.of(self.old, before, old), Signature.of(self.new, after, new)
        if old.kind == "class":
            old_signature = old_signature.inheriting(self.old, new_signature.arguments)
            new_signature = new_signature.inheriting(self.new, old_signature.arguments)
        unstated = old.kind in ("class", "constant") and old.get("order") is None and not old_signature.arguments
        if unstated and not self.old.complete:
            return  # what made it was not stated then
        for change, name in compare_signatures(old_signature, new_signature, hook):
            found.append(change)
            if change.op == "renamed" and change.old is not None:
                renamed[change.old.name] = name
        yield from _grouped(found)
        for name in old_signature.arguments:
            yield from self._choices(f"{before}.{name}", f"{after}.{renamed.get(name, name)}")

    def _choices(self, before: str, after: str) -> Iterator[Change]:
        """Choices that are gone; where none are left any value may be accepted."""
        old, new = self.old.owned("choice", before), self.new.owned("choice", after)
        declared = [[fact for fact in side if fact.get("seen") is None] for side in (old, new)]
        if all(declared):
            old, new = (tuple(side) for side in declared)
        elif any(declared):
            return  # what code compares with may be less than what it accepts
        if old and new:
            yield from keyed(old, new, new[0].origin)

    def _methods(self, old: Fact, new: Fact) -> Iterator[Change]:
        hooks = {fact.name: fact for fact in self.old.owned("hook", old.owner)}
        new_hooks = {fact.name: fact for fact in self.new.owned("hook", new.owner)}
        methods = {fact.name: fact for fact in self.old.owned("method", old.owner)}
        new_methods = {fact.name: fact for fact in self.new.owned("method", new.owner)}
        stays = {f.name for kind in ("attribute", "field") for f in self.new.owned(kind, new.owner)}
        lost = [
            f
            for name, f in methods.items()
            if name not in new_methods and name not in stays and not self._is_inherited(new, name)
        ]
        fresh = [fact for name, fact in new_methods.items() if name not in methods]
        old_members = {fact: _members(self.old, _owner(fact)) for fact in lost}
        new_members = {fact: _members(self.new, _owner(fact)) for fact in fresh}
        renamed = match(lost, fresh, lambda a, b: members_alike(old_members[a], new_members[b], a, b))
        names = {name: name for name in methods if name in new_methods}
        names |= {before.name: after.name for before, after in renamed.items()}

        for name, hook in hooks.items():
            target = names.get(name, name)
            if target != name and name not in new_hooks:
                yield Change("renamed", "hook", hook, new_hooks.get(target) or new_methods[target], hook=True)
            elif name not in new_hooks:
                yield Change("removed", "hook", hook, None, near=new.origin, hook=True)
        for fact in lost:
            if fact.name in names and fact.name not in hooks:
                yield Change("renamed", "method", fact, new_methods[names[fact.name]])
            elif fact.name not in names and not (fact.name in hooks and fact.name not in new_hooks):
                yield Change("removed", "method", fact, None, near=new.origin, hook=fact.name in hooks)
        for fact in fresh:
            if fact not in renamed.values():
                yield Change("added", "method", None, fact)
        yield from self._as_attributes(methods, new, stays)
        for name in new_hooks:
            if name not in hooks and name not in names.values():
                yield Change("added", "hook", None, new_hooks[name], hook=True)
        for name, target in names.items():
            yield from self._method(methods[name], new_methods[target], name in hooks)

    def _as_attributes(self, methods: dict[str, Fact], new: Fact, stays: set[str]) -> Iterator[Change]:
        """Methods that are attributes now: a break if the value is one that nobody can call."""
        for name in sorted(methods.keys() & stays):
            attribute = self.new.fact("attribute", new.owner, name) or self.new.fact("field", new.owner, name)
            value = attribute.get("value") or attribute.get("default") if attribute is not None else None
            is_call = methods[name].get("binding") != "property" and self.new.fact("method", new.owner, name) is None
            if attribute is not None and is_call and value is not None and is_data(value):
                yield Change("changed", "method", methods[name], attribute.stating(binding="attribute"), "binding")

    def _is_inherited(self, class_: Fact, name: str) -> bool:
        """Whether a class has the method or attribute all the same, from a base here or one that is pinned."""
        return any(inherited(self.new, class_.owner, kind, name) for kind in ("method", "attribute", "field"))

    def _method(self, old: Fact, new: Fact, hook: bool) -> Iterator[Change]:
        for detail in ("binding", "async", *(["abstract"] if self.complete else [])):
            if old.get(detail) != new.get(detail) and "?" not in (old.get(detail), new.get(detail)):
                yield Change("changed", "method", old, new, detail, hook=hook)
        yield from _given(old, new)
        yield from self._called(old, new, hook)
        bindings = {old.get("binding"), new.get("binding")}
        if "property" not in bindings and ("?" not in bindings or len(bindings) == 1):
            yield from self._callable(old, new, hook)

    def _called(self, old: Fact, new: Fact, hook: bool) -> Iterator[Change]:
        """Arguments that the class did not pass to its method before.

        That a hook has a new one, or any method one that must be given, is told by itself; what bases elsewhere pass is
        not known.
        """
        if self._is_inherited(new, new.name):
            return
        before, after = ((fact.get("called") or "").split(",") for fact in (old, new))
        known = {fact.name for fact in self.old.owned("param", _owner(old))}
        arguments = {fact.name: fact for fact in self.new.owned("param", _owner(new))}
        told = {n for n, f in arguments.items() if n not in known and (hook or f.get("default") is None)}
        told |= (
            arguments.keys() if known - arguments.keys() else set()
        )  # renamed ones have another name, no other value
        more = sorted(set(after) - set(before) - told - {"*", "**"})
        if old.get("called") and new.get("called") and more and not set(before) & {"*", "**"}:
            yield Change("changed", "method", old, new, "called", hook=hook, also=tuple(more))

    def _attributes(self, before: str, after: str, near: Origin | None) -> Iterator[Change]:
        old, new = self.old.owned("attribute", before), self.new.owned("attribute", after)
        replaced = {f.name for kind in ("field", "method") for f in self.new.owned(kind, after)}
        known = {f.name for kind in ("field", "method") for f in self.old.owned(kind, before)}
        for change in keyed(old, new, near):
            still = change.op in ("removed", "renamed") and self._is_inherited(self.new.names[after], change.fact.name)
            if change.fact.name not in known if change.op == "added" else not (still or change.fact.name in replaced):
                yield change


def _grouped(changes: list[Change]) -> Iterator[Change]:
    """Arguments of one callable that all became keyword-only are one change."""
    kinds: dict[tuple[str | None, str | None], list[Change]] = {}
    for change in changes:
        if change.op == "changed" and change.detail == "kind":
            kinds.setdefault((change.before, change.after), []).append(change)
        else:
            yield change
    for first, *others in kinds.values():
        yield replace(first, also=tuple(other.fact.name for other in others))


def _members(snapshot: Snapshot, owner: str) -> frozenset[str]:
    """What belongs to an object, as text that two objects can have in common."""
    kinds = ("field", "param", "method", "attribute", "base")
    return frozenset(
        f"{kind} {fact.name} {fact.get('default')} {fact.get('kind')}"
        for kind in kinds
        for fact in snapshot.owned(kind, owner)
    )


def _owner(fact: Fact) -> str:
    return f"{fact.owner}.{fact.name}" if fact.name else fact.owner


def _wholes(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def inside(path: str, modules: Iterable[str]) -> bool:
    """Whether a path lies below one of the modules."""
    return any(path.startswith(f"{module}.") for module in modules)


def _given(old: Fact, new: Fact) -> Iterator[Change]:
    """A result of another number of values: who unpacks it fails. Where one side does not say, nobody knows."""
    before, after = old.get("gives"), new.get("gives")
    if before is not None and after is not None and before != after:
        yield Change("changed", old.kind, old, new, "gives")


def _base_name(path: str) -> tuple[str, str]:
    return path.partition(".")[0], path.rpartition(".")[2]
