"""Consumers that a break hits, written from its facts: each works on the old side and fails on the new one.

A snippet is what a user of the package could have written: imports, calls, subclasses, readings of the contract or of
the metadata. Calls are bound to the signature and not made, so that nothing has to be trained to see a TypeError.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass

from .callables import Signature
from .changes import Change
from .facts import Fact, Snapshot
from .findings import Finding


@dataclass(frozen=True)
class Consumer:
    """Writes the snippet for one break, from the facts of the release that it breaks."""

    change: Change
    old: Snapshot
    commands: str = ""
    """The package of the command line."""

    # ---- What is used, and how it is reached

    @property
    def fact(self) -> Fact:
        return self.change.fact

    @property
    def owner(self) -> str:
        """The old path of what the fact belongs to; an addition has only a new one."""
        return self.fact.owner

    def reach(self, path: str) -> tuple[str, str]:
        """An import, and the expression that it makes possible."""
        found = path
        while found and found not in self.old.names:
            found = found.rpartition(".")[0]
        module, _, name = (found or path).rpartition(".")
        rest = path[len(found) :] if found else ""
        return (f"from {module} import {name}", name + rest) if module else (f"import {name}", name + rest)

    def using(self, path: str, *lines: str, imports: tuple[str, ...] = ()) -> str:
        """Lines in which `{it}` stands for the object at a path."""
        statement, expression = self.reach(path)
        return "\n".join([*(f"import {name}" for name in imports), statement, *lines]).replace("{it}", expression)

    def callable(self) -> tuple[str, Signature, bool]:
        """Path, old signature, and whether it is reached as a plain function whose first argument is `self`."""
        class_, _, name = self.owner.rpartition(".")
        method = self.old.fact("method", class_, name)
        fact = method or self.old.names.get(self.owner) or self.fact
        bound = method is not None and method.get("binding") is None
        return self.owner, Signature.of(self.old, self.owner, fact), bound

    def call(self, *arguments: str, complete: bool = False, checks: tuple[str, ...] = ()) -> str:
        """A call with these arguments, as far as the signature can tell whether it is one."""
        path, _, bound = self.callable()
        given = ", ".join([*(["None"] if bound else []), *arguments])
        bind = "bind" if complete else "bind_partial"
        return self.using(path, f"call = inspect.signature({{it}}).{bind}({given})", *checks, imports=("inspect",))

    def position(self, name: str) -> int:
        return self.callable()[1].order.index(name)

    # ---- Names and members

    def imported(self) -> str:
        if self.fact.kind == "module":
            return f"import {self.owner}"
        return self.using(self.owner)

    def is_what_it_was(self) -> str:
        tests = {
            "class": "isinstance({it}, type)",
            "function": "callable({it}) and not isinstance({it}, type)",
            "module": "isinstance({it}, types.ModuleType)",
        }
        return self.using(self.owner, f"assert {tests.get(self.fact.kind, 'not callable({it})')}", imports=("types",))

    def is_stable(self) -> str:
        top = self.owner.partition(".")[0]
        return (
            f"import pathlib, {top}\nfrom sternpost.guard.settings import find_settings\n"
            f"folder = pathlib.Path({top}.__file__).parent\n"
            f'assert find_settings(folder).tier("{self.owner}") == "{self.fact.get("tier")}"'
        )

    def has_base(self) -> str:
        name = self.fact.name.rpartition(".")[2]
        return self.using(self.owner, f'assert "{name}" in [base.__name__ for base in {{it}}.__mro__]')

    def has_member(self) -> str:
        return self.using(f"{self.owner}.{self.fact.name}", "{it}")

    def is_bound_as_it_was(self) -> str:
        wanted = {"static": "staticmethod", "class": "classmethod", "property": "property"}
        kind = wanted.get(self.change.before or "", "types.FunctionType")
        test = f'assert isinstance(inspect.getattr_static({{it}}, "{self.fact.name}"), {kind})'
        return self.using(self.owner, test, imports=("inspect", "types"))

    def is_awaited_as_it_was(self) -> str:
        wanted = self.change.before == "yes"
        test = f"assert inspect.iscoroutinefunction({{it}}) is {wanted}"
        path = f"{self.owner}.{self.fact.name}" if self.fact.name else self.owner
        return self.using(path, test, imports=("inspect",))

    def returns_as_many(self) -> str:
        """How many values each `return` of the code hands out: calling it would need real arguments."""
        path = f"{self.owner}.{self.fact.name}" if self.fact.name else self.owner
        return self.using(
            path,
            "tree = ast.parse(textwrap.dedent(inspect.getsource({it}))).body[0]",
            "functions = [f for f in ast.walk(tree) if f is not tree and isinstance(f, ast.FunctionDef)]",
            "inner = {node for function in functions for node in ast.walk(function)}",
            "returns = [n for n in ast.walk(tree) if isinstance(n, ast.Return) and n not in inner and n.value]",
            f"assert {{len(node.value.elts) for node in returns}} == {{{self.change.before}}}",
            imports=("ast", "inspect", "textwrap"),
        )

    def overrides(self) -> str:
        """A method written for the release, called with all that the new base knows."""
        path, signature, _ = self.callable()
        written = ", ".join(["self", *_written(signature)])
        return self.using(
            path,
            f"def override({written}): ...",
            "known = inspect.signature({it}).parameters.values()",
            "named = [p.name for p in known if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]",
            "inspect.signature(override).bind(**dict.fromkeys(named))",
            imports=("inspect",),
        )

    def overrides_what_is_called(self) -> str:
        """A method written for the release, called with what this package now passes to it."""
        path = f"{self.owner}.{self.fact.name}"
        signature = Signature.of(self.old, path, self.fact)
        known = (self.change.before or "").split(",")
        written = [name for name in _written(signature) if name.partition("=")[0].lstrip("*") in known]
        return self.using(
            path,
            f"def override({', '.join(['self', *written])}): ...",
            "module = ast.parse(inspect.getsource(sys.modules[{it}.__module__]))",
            "calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]",
            f"for call in [call for call in calls if ast.unparse(call.func) == 'self.{self.fact.name}']:",
            "    named = {keyword.arg: None for keyword in call.keywords}",
            "    inspect.signature(override).bind(None, *call.args, **named)",
            imports=("ast", "inspect", "sys"),
        )

    # ---- Arguments and options

    def passed_by_name(self) -> str:
        kind = self.fact.get("kind")
        if kind == "args":
            return self.call("*range(99)")
        if kind == "deprecated":
            return self.using(
                self.callable()[0],
                f"inspect.signature({{it}}, follow_wrapped=False).bind_partial({self.fact.name}=None)",
                imports=("inspect",),
            )
        if kind == "positional-only":
            return self.call(*map(str, range(self.position(self.fact.name) + 1)))
        if self.fact.get("init") == "no":
            return self.using(self.owner, f'assert "{self.fact.name}" in {{it}}.__dataclass_fields__')
        if kind == "kwargs":
            return self.call("anything_else=None")
        taken = f'assert "{self.fact.name}" in call.arguments, "ignored by **"'
        return self.call(f"{self.fact.name}=None", checks=(taken,))

    def passed_by_position(self) -> str:
        name = self.fact.name if self.change.op == "changed" else self.change.also[0]
        if self.change.op == "moved":  # the fact is the callable's
            path = f"{self.owner}.{self.fact.name}" if self.fact.name else self.owner
            class_method = bool(self.fact.name) and self.fact.get("binding") is None
            order = (self.fact.get("order") or "").split(",")
            given = ["None"] * class_method + [str(number) for number in range(order.index(name) + 1)]
            test = f'assert call.arguments["{name}"] == {order.index(name)}'
            bind = f"call = inspect.signature({{it}}).bind_partial({', '.join(given)})"
            return self.using(path, bind, test, imports=("inspect",))
        if self.change.after == "positional-only":
            return self.call(f"{name}=None")
        place = self.position(name)
        return self.call(*map(str, range(place + 1)), checks=(f'assert call.arguments["{name}"] == {place}',))

    def called_without(self) -> str:
        """With what had to be given, and nothing else."""
        _, signature, _ = self.callable()
        needed = [fact for fact in signature.arguments.values() if _must_be_given(fact)]
        positional = ["None" for fact in needed if fact.get("kind") != "keyword-only"]
        return self.call(
            *positional, *(f"{f.name}=None" for f in needed if f.get("kind") == "keyword-only"), complete=True
        )

    def has_default(self) -> str:
        """Options are asked for as the dataclass has them, arguments as the signature does."""
        name = self.fact.name
        if self.fact.kind == "field":
            read: tuple[str, ...] = (
                f'field = {{it}}.__dataclass_fields__["{name}"]',
                "factory = field.default_factory",
            )
            read += ("value = field.default if factory is dataclasses.MISSING else factory()",)
            imports: tuple[str, ...] = ("dataclasses",)
        else:
            read, imports = (f'value = inspect.signature({{it}}).parameters["{name}"].default',), ("inspect",)
        value = "getattr(value, 'value', value)"
        if _is_literal(self.change.before):
            test = f"assert {value} == {self.change.before} and type({value}) is type({self.change.before}), value"
        elif _is_literal(self.change.after):
            test = f"assert {value} != {self.change.after}, value"
        else:
            test = f"assert {self.change.before!r} in (repr(value), f'{{type(value).__name__}}()'), value"
        return self.using(self.callable()[0], *read, test, imports=imports)

    def accepts(self) -> str:
        """By annotation or by the choices of a field."""
        owner, _, name = self.owner.rpartition(".")
        named = owner in self.old.names or self.old.fact("method", *owner.rpartition(".")[::2]) is not None
        values = (
            "def values(type_):\n"
            "    found = typing.get_args(type_)\n"
            "    return [v for a in found for v in (values(a) if typing.get_args(a) else [a])]"
        )
        if not named or self.owner in self.old.names:
            return self.using(self.owner, values, f"assert {self.fact.name} in values({{it}})", imports=("typing",))
        target = "{it}.__init__" if self.old.fact("param", owner, name) and self._is_class(owner) else "{it}"
        return self.using(
            owner,
            values,
            f"known = values(typing.get_type_hints({target})[{name!r}])",
            f"field = getattr({{it}}, '__dataclass_fields__', {{}}).get({name!r})",
            "known += list(field.metadata.get('choices', ())) if field else []",
            f"assert {self.fact.name} in known, known",
            imports=("typing",),
        )

    def _is_class(self, path: str) -> bool:
        return path in self.old.names and self.old.names[path].kind == "class"


def _must_be_given(fact: Fact) -> bool:
    return (
        fact.get("default") is None
        and fact.get("kind") not in ("args", "kwargs", "deprecated")
        and not fact.get("init")
    )


def _written(signature: Signature) -> list[str]:
    """The arguments as a `def` writes them."""
    facts = signature.arguments
    parts = [f"{name}=None" if facts[name].get("default") is not None else name for name in signature.order]
    keywords = [fact for fact in facts.values() if fact.get("kind") == "keyword-only"]
    star = next((fact.name for fact in facts.values() if fact.get("kind") == "args"), "*" if keywords else "")
    parts += [star] if star else []
    parts += [f"{fact.name}=None" if fact.get("default") is not None else fact.name for fact in keywords]
    return parts + [fact.name for fact in facts.values() if fact.get("kind") == "kwargs"]


def _is_literal(text: str | None) -> bool:
    try:
        ast.literal_eval(text or "")
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def snippet(finding: Finding, old: Snapshot, commands: str = "") -> str | None:
    """The code of a consumer that the break hits; None if none can be written."""
    from .snippets_data import WRITERS as DATA_WRITERS

    write = (WRITERS | DATA_WRITERS).get(finding.rule)
    if write is None or finding.change is None:
        return None
    return write(Consumer(finding.change, old, commands)) + "\n"


WRITERS: dict[str, Callable[[Consumer], str]] = {
    "name-removed": Consumer.imported,
    "name-renamed": Consumer.imported,
    "name-kind-changed": Consumer.is_what_it_was,
    "name-unstable": Consumer.is_stable,
    "base-removed": Consumer.has_base,
    "method-removed": Consumer.has_member,
    "method-renamed": Consumer.has_member,
    "method-kind-changed": Consumer.is_bound_as_it_was,
    "method-async-changed": Consumer.is_awaited_as_it_was,
    "method-called-with-more": Consumer.overrides_what_is_called,
    "result-restructured": Consumer.returns_as_many,
    "attribute-removed": Consumer.has_member,
    "attribute-renamed": Consumer.has_member,
    "hook-argument-added": Consumer.overrides,
    "argument-removed": Consumer.passed_by_name,
    "argument-renamed": Consumer.passed_by_name,
    "argument-moved": Consumer.passed_by_position,
    "argument-kind-changed": Consumer.passed_by_position,
    "argument-default-changed": Consumer.has_default,
    "argument-now-required": Consumer.called_without,
    "argument-added-required": Consumer.called_without,
    "field-removed": Consumer.passed_by_name,
    "field-renamed": Consumer.passed_by_name,
    "field-moved": Consumer.passed_by_position,
    "field-kind-changed": Consumer.passed_by_position,
    "field-not-accepted": Consumer.passed_by_name,
    "field-default-changed": Consumer.has_default,
    "field-now-required": Consumer.called_without,
    "field-added-required": Consumer.called_without,
    "choice-removed": Consumer.accepts,
}
