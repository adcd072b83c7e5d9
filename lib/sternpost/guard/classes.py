"""Facts of a public class: bases, constructor, fields, methods, hooks and attributes."""

import ast
import re
from collections.abc import Iterator

import griffe

from .after_init import settled
from .annotations import type_text
from .bodies import Bodies
from .calls import passed_to_methods
from .facts import INTERNAL, Fact, make_fact
from .fields import ConfigField, config_fields, is_dataclass, is_field, tuple_facts, tuple_fields
from .foreign import pinned_defaults
from .resolve import External, Resolver
from .signatures import choice_facts, fingerprint_of, gives_of, order_of, param_facts, takes_anything
from .values import value_text
from .words import announced

_PROTOCOL = ("__call__", "__len__", "__getitem__", "__iter__", "__next__", "__contains__", "__enter__", "__exit__")
"""Special methods that users call by syntax, so that they are as public as any."""
_NO_BASES = ("object", "ABC", "Generic", "Protocol", "NamedTuple", "TypedDict")


class ClassReader:
    """Turns one class into facts, all kept under its public path `home`.

    With `internal` private methods and the attributes of instances are stated too.
    """

    def __init__(
        self,
        class_: griffe.Class,
        home: str,
        hooks: frozenset[str],
        homes: dict[str, str],
        resolver: Resolver,
        bodies: Bodies | None = None,
        internal: bool = False,
    ) -> None:
        self.class_ = class_
        self.home = home
        self.hooks = hooks
        self.homes = homes
        self.resolver = resolver
        self.bodies = bodies
        self.internal = internal
        self.lineage = lineage(class_, resolver)
        self.origin = resolver.tree.origin(class_)

    def facts(self, tier: str) -> Iterator[Fact]:
        order, details = self._constructor()
        size = sum(fact.kind == "field" for fact in details) if self._is_tuple() else 0
        yield make_fact("class", self.home, "", self.origin, tier=tier, order=order, gives=str(size) if size else None)
        yield from details
        for base in self._bases():
            yield make_fact("base", self.home, base, self.origin)
        passed = passed_to_methods(self.lineage, self.bodies) if self.bodies is not None else {}
        for name, (owner, member) in sorted(self._members().items()):
            for fact in self._member(name, owner, member):
                is_it = fact.kind == "method" and fact.get("binding") != "property"
                yield fact.stating(called=passed.get(name)) if is_it else fact

    def _is_tuple(self) -> bool:
        """Whether instances can be unpacked: a named tuple, by its base or by what makes its base."""
        bases = [str(base) for owner in self.lineage for base in owner.bases]
        return any(_last(base.partition("(")[0]) in ("NamedTuple", "namedtuple") for base in bases)

    def _constructor(self) -> tuple[str | None, list[Fact]]:
        """The positional order (None if a base outside the package may add to it) and a fact per argument or field."""
        for owner in self.lineage:
            made = [self._made_by(owner, name) for name in ("__init__", "__new__")]
            if method := next(filter(None, made), None):
                facts = param_facts(method, self.home, True, self.resolver, self._from(owner), self.bodies)
                return order_of(method, True), list(facts)
            if is_dataclass(owner) and "__init__" not in owner.members:
                break
        fields = config_fields(self.lineage, self.resolver)
        if not fields:
            named = next((named for owner in self.lineage for base in owner.bases if (named := tuple_fields(base))), [])
            return ",".join(name for name, _ in named) or None, list(tuple_facts(self.home, named, self.origin))
        positional = [field.name for field in fields if field.in_constructor and not field.keyword_only]
        foreign = any(self._foreign_bases(owner) for owner in self.lineage)
        later = self._settled(fields)
        return None if foreign or not positional else ",".join(positional), [
            fact for field in fields for fact in self._field(field, later.get(field.name))
        ]

    def _made_by(self, owner: griffe.Class, name: str) -> griffe.Function | None:
        """The method that makes or fills an instance, if it says what it takes.

        The `__new__` of an enumeration or of a metaclass is not called with what the caller gives.
        """
        method = owner.members.get(name)
        if not isinstance(method, griffe.Function) or self._passes_on(method):
            return None
        bases = {_last(base) for base in foreign_bases(self.class_, self.resolver)}
        hidden = any(base == "type" or base.endswith(("Enum", "Flag")) for base in bases)
        return None if name == "__new__" and (hidden or takes_anything(method, True)) else method

    def _settled(self, fields: list[ConfigField]) -> dict[str, str]:
        """Defaults that `__post_init__` replaces by others."""
        if self.bodies is None or not any("__post_init__" in owner.members for owner in self.lineage):
            return {}
        foreign: dict[str, str | None] = {}
        for base in reversed(foreign_bases(self.class_, self.resolver)):
            foreign |= pinned_defaults(base)
        declared = {field.name: field.default for field in fields}
        return settled(self.lineage, declared, foreign, self.resolver, self.bodies)

    def _passes_on(self, method: griffe.Function) -> bool:
        """Whether a method takes anything and gives all of it to the one that it overrides."""
        if self.bodies is None or not takes_anything(method, True):
            return False
        body = self.bodies.of(method)
        calls = [ast.unparse(callee) for callee in body.forwards] if body is not None else []
        return len(calls) == 1 and calls[0].startswith("super(") and calls[0].endswith(f").{method.name}")

    def _field(self, field: ConfigField, later: str | None) -> Iterator[Fact]:
        origin = self.resolver.tree.origin(field.attribute)
        inherited = self._from(field.owner)
        yield make_fact(
            "field",
            self.home,
            field.name,
            origin,
            default=field.default,
            settled=later,
            type=field.type,
            kind="keyword-only" if field.keyword_only else None,
            init=None if field.in_constructor else "no",
            from_=inherited,
        )
        source = f"{inherited}.{field.name}" if inherited else None
        yield from choice_facts(f"{self.home}.{field.name}", field.choices, origin, source)
        if re.match(r"\W*(this \w+ is )?deprecated\b", field.help, re.I) and not inherited:
            until = announced(field.help)
            yield make_fact("deprecation", self.home, field.name, origin, until=until, via="help")

    def _members(self) -> dict[str, tuple[griffe.Class, griffe.Object]]:
        """Public members, own and inherited inside the package, with the class that defines each."""
        found: dict[str, tuple[griffe.Class, griffe.Object]] = {}
        for owner in self.lineage:
            for name, member in owner.members.items():
                if name in found or not (self._is_promised(name) or (self.internal and not name.startswith("__"))):
                    continue
                if isinstance(member, griffe.Function) and self._passes_on(member):
                    continue  # the one that it overrides tells more
                if isinstance(member, griffe.Attribute):
                    member = self._named(member, owner)
                if isinstance(member, griffe.Function | griffe.Attribute):
                    found[name] = (owner, member)
        return found

    def _named(self, attribute: griffe.Attribute, owner: griffe.Class) -> griffe.Object:
        """The method or property that `f = g` names in the body of a class; else the attribute itself."""
        if isinstance(attribute.value, griffe.ExprName) and "instance-attribute" in attribute.labels:
            other = owner.members.get(str(attribute.value))
            if isinstance(other, griffe.Function | griffe.Attribute) and _is_class_attribute(attribute, owner):
                return other if isinstance(other, griffe.Function) or "property" in other.labels else attribute
        return attribute

    def _is_promised(self, name: str) -> bool:
        return not name.startswith("_") or name in self.hooks or name in _PROTOCOL

    def _member(self, name: str, owner: griffe.Class, member: griffe.Object) -> Iterator[Fact]:
        origin, inherited = self.resolver.tree.origin(member), self._from(owner)
        tier = None if self._is_promised(name) else INTERNAL
        if tier == INTERNAL and inherited in self.homes.values():
            return  # stated of the base
        if isinstance(member, griffe.Function):
            bound = "staticmethod" not in member.labels
            yield make_fact(
                "method",
                self.home,
                name,
                origin,
                order=order_of(member, bound),
                binding=_binding(member),
                async_="yes" if "async" in member.labels else None,
                abstract=self._abstract(member, owner),
                returns=type_text(member.returns, owner, self.resolver),
                gives=gives_of(member, self.bodies),
                body=fingerprint_of(member, self.bodies) if self.internal else None,
                tier=tier,
                from_=inherited,
            )
            source = f"{inherited or self.home}.{member.name}" if inherited or name != member.name else None
            yield from param_facts(member, f"{self.home}.{name}", bound, self.resolver, source, self.bodies)
        elif isinstance(member, griffe.Attribute) and "property" in member.labels:
            kind = type_text(member.annotation, owner, self.resolver)
            details = {"binding": "property", "returns": kind, "tier": tier, "from_": inherited}
            abstract = self._abstract(member, owner)
            yield make_fact("method", self.home, name, origin, abstract=abstract, **details)
        elif isinstance(member, griffe.Attribute) and _is_class_attribute(member, owner):
            value = value_text(member.value, owner, self.resolver) if member.value is not None else None
            kind = type_text(member.annotation, owner, self.resolver)
            yield make_fact("attribute", self.home, name, origin, type=kind, value=value, tier=tier, from_=inherited)
        elif isinstance(member, griffe.Attribute) and self.internal and not is_dataclass(owner) and not inherited:
            yield make_fact("attribute", self.home, name, origin, scope="instance", tier=INTERNAL)

    def _abstract(self, member: griffe.Object, owner: griffe.Class) -> str | None:
        """`yes` of what every implementer has to define: abstract methods, and whatever a protocol declares."""
        is_protocol = any(_last(str(base).partition("[")[0]) == "Protocol" for base in owner.bases)
        if is_protocol or "abstractmethod" not in member.labels:
            return "yes" if is_protocol else None
        outside = {_last(base) for base in foreign_bases(owner, self.resolver)}  # any of them may be an `ABC`
        enforced = outside - {"object", "Generic"} or any(one.keywords for one in lineage(owner, self.resolver))
        return "yes" if enforced else None

    def _bases(self) -> list[str]:
        """Direct bases; one that is not public gives way to its own."""
        found: list[str] = []
        seen = {self.class_.path}
        ahead = [(base, self.class_) for base in reversed(self.class_.bases)]
        while ahead:
            target = _base(*ahead.pop(), self.resolver)
            if isinstance(target, str):
                found += [target] if target.rpartition(".")[2] not in _NO_BASES else []
            elif target.path in self.homes:
                found.append(self.homes[target.path])
            elif target.path not in seen:
                seen.add(target.path)
                ahead += [(base, target) for base in reversed(target.bases)]
        return list(dict.fromkeys(found))

    def _foreign_bases(self, class_: griffe.Class) -> list[str]:
        """Bases from elsewhere that may have fields; a mixin by name has none."""
        targets = [_base(base, class_, self.resolver) for base in class_.bases]
        names = [path.rpartition(".")[2] for path in targets if isinstance(path, str)]
        return [name for name in names if name not in _NO_BASES and not name.endswith("Mixin")]

    def _from(self, owner: griffe.Class) -> str | None:
        return None if owner is self.class_ else self.homes.get(owner.path, owner.path)


def lineage(class_: griffe.Class, resolver: Resolver) -> list[griffe.Class]:
    """The class and its bases inside the package, nearest first, each once."""
    found = [class_]
    for known in found:  # grows while it is walked
        for base in known.bases:
            target = _base(base, known, resolver)
            if isinstance(target, griffe.Class) and not any(target is other for other in found):
                found.append(target)
    return found


def foreign_bases(class_: griffe.Class, resolver: Resolver) -> list[str]:
    """The bases from other libraries, of the class itself and of its bases here."""
    found = (_base(base, owner, resolver) for owner in lineage(class_, resolver) for base in owner.bases)
    return [base for base in found if isinstance(base, str)]


def _base(base: str | griffe.Expr, class_: griffe.Class, resolver: Resolver) -> griffe.Class | str:
    """The class behind a base, or the dotted path of one from elsewhere."""
    name = str(base).partition("[")[0].partition("(")[0]
    found = resolver.lookup(name, class_.parent or class_.module)
    if isinstance(found, griffe.Class):
        return found
    return found.path if isinstance(found, External) else name


def _last(path: str) -> str:
    return path.rpartition(".")[2]


_TRANSPARENT = ("abstractmethod", "override", "final", "deprecated", "overload", "no_type_check")
"""Decorators that leave a method what it is."""


def _binding(function: griffe.Function) -> str | None:
    """How a method is bound; `?` where a decorator around the one that says so may make something else of it."""
    names = [_last(decorator.callable_path) for decorator in function.decorators]
    for label, binding in (("staticmethod", "static"), ("classmethod", "class"), ("property", "property")):
        if label in function.labels:
            around = names[: names.index(label)] if label in names else []
            return "?" if set(around) - set(_TRANSPARENT) else binding
    return None


def _is_class_attribute(attribute: griffe.Attribute, owner: griffe.Class) -> bool:
    """Not a field, and not merely set on `self` in `__init__`."""
    if is_dataclass(owner) and attribute.annotation is not None and is_field(attribute):
        return False
    init = owner.members.get("__init__")
    line = attribute.lineno or 0
    return not (isinstance(init, griffe.Function) and (init.lineno or 0) <= line <= (init.endlineno or 0))
