"""A snapshot as a version of the package: its facts written out as source, so that one reader serves both.

A snapshot says what is public and what downstream code is known to rely on. What it does not say (bodies, source text)
is unknown, not gone.
"""

from collections import defaultdict
from functools import cached_property

from ..facts import Fact, Snapshot
from .files import Files


class Recorded(Files):
    """The modules that a snapshot describes."""

    def __init__(self, snapshot: Snapshot, package: str, shown: str) -> None:
        self.shown = shown
        self._text = {path: "\n".join(lines) + "\n" for path, lines in _modules(snapshot, package).items()}

    @cached_property
    def paths(self) -> list[str]:
        return sorted(self._text)

    def read(self, path: str) -> bytes:
        return self._text[path].encode()


def _modules(snapshot: Snapshot, package: str) -> dict[str, list[str]]:
    """The text of each module by its file. A path that is known only as a part of others becomes a package."""
    found: dict[str, list[str]] = defaultdict(list)
    names = {path: fact for path, fact in snapshot.names.items() if path.partition(".")[0] == package}
    modules = {package} | {path for path, fact in names.items() if fact.kind == "module"}
    for path in [*names]:
        while "." in path:
            path = path.rpartition(".")[0]
            if path not in names or names[path].kind == "module":
                modules.add(path)
    for module in modules:
        found[f"{module.replace('.', '/')}/__init__.py"] = []
    for path, fact in sorted(names.items()):
        owner, _, name = path.rpartition(".")
        if owner in modules and name.isidentifier():
            found[f"{owner.replace('.', '/')}/__init__.py"] += _definition(snapshot, fact, name)
    return found


def _definition(snapshot: Snapshot, fact: Fact, name: str) -> list[str]:
    if fact.kind == "alias":
        target = fact.get("to") or ""
        module, _, last = target.rpartition(".")
        plain = module and all(part.isidentifier() for part in target.split("."))
        return [f"from {module} import {last} as {name}" if plain else f"{name} = ..."]
    if fact.kind == "class":
        return _class(snapshot, fact, name)
    if fact.kind == "function":
        return [f"def {name}({_arguments(snapshot, fact.owner, fact)}): ..."]
    if fact.kind in ("constant", "name"):
        return [f"{name} = {_expression(fact.get('value'))}"]
    return []


def _class(snapshot: Snapshot, fact: Fact, name: str) -> list[str]:
    path = fact.owner
    bases = [b.name for b in snapshot.owned("base", path) if all(p.isidentifier() for p in b.name.split("."))]
    heads = sorted({base.rpartition(".")[0] for base in bases} - {""})
    lines = [f"import {head}" for head in heads]
    fields = snapshot.owned("field", path)
    lines += ["@dataclass"] if fields else []
    lines += [f"class {name}({', '.join(bases)}):", "    ..."]
    for field in fields:
        required = field.get("default") is None
        lines.append(f"    {field.name}: object" + ("" if required else f" = {_expression(field.get('default'))}"))
    params = snapshot.owned("param", path)
    if params or (fact.get("order") is not None and not fields):
        lines.append(f"    def __init__({_arguments(snapshot, path, fact, 'self')}): ...")
    for attribute in snapshot.owned("attribute", path):
        lines.append(f"    {attribute.name} = {_expression(attribute.get('value'))}")
    for method in snapshot.owned("method", path):
        binding = method.get("binding")
        decorator = {"static": "staticmethod", "class": "classmethod", "property": "property"}.get(binding or "")
        lines += [f"    @{decorator}"] if decorator else []
        first = "" if binding == "static" else "cls" if binding == "class" else "self"
        keyword = "async def" if method.get("async") else "def"
        arguments = _arguments(snapshot, f"{path}.{method.name}", method, first)
        lines.append(f"    {keyword} {method.name}({arguments}): ...")
    return [line for line in lines if all(part.isprintable() for part in line)]


def _arguments(snapshot: Snapshot, owner: str, fact: Fact, first: str = "") -> str:
    """The argument list of a `def` with the recorded names, kinds and defaults."""
    params = {param.name.lstrip("*"): param for param in snapshot.owned("param", owner)}
    order = [name for name in (fact.get("order") or "").split(",") if name]
    parts = [first] if first else []
    optional = False
    for name in order:
        default = params[name].get("default") if name in params else None
        optional |= default is not None
        parts.append(name if not optional else f"{name}={_expression(default)}")
    parts += (
        ["/"]
        if order
        and all(params[n].get("kind") == "positional-only" for n in order if n in params)
        and all(n in params for n in order)
        else []
    )
    more = [name for name, param in params.items() if param.get("kind") == "args"]
    by_name = [(name, param) for name, param in params.items() if param.get("kind") == "keyword-only"]
    parts += [f"*{more[0]}"] if more else ["*"] if by_name else []
    for name, param in by_name:
        default = param.get("default")
        parts.append(name if default is None else f"{name}={_expression(default)}")
    parts += [f"**{name}" for name, param in params.items() if param.get("kind") == "kwargs"][:1]
    return ", ".join(parts)


def _expression(text: str | None) -> str:
    """A recorded value, if it still is Python: long ones are cut in snapshots."""
    if text is None:
        return "..."
    try:
        compile(text, "<fact>", "eval", flags=0x400)  # PyCF_ONLY_AST: parsed, never run
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return repr(text)
    return text
