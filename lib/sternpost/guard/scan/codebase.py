"""Modules on demand, and names followed across them: imports, re-exports, stars, lazy tables, bases."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ..facts import Origin, Problem
from .code import Class, Function, Import, Module, Value
from .files import Files
from .syntax import dotted

MAX_STEPS = 60
"""Links of one chain of imports that are followed."""
_SOURCE_FOLDERS = ("src", "lib", "python")


@dataclass(frozen=True)
class External:
    """A dotted path that leads out of the code base, or to what it does not define."""

    path: str


Entity = Module | Class | Function | Value | External


class Codebase:
    """The modules of a project or of a package. What cannot be read leaves a `Problem` and costs only itself."""

    def __init__(self, files: Files, only: str | None = None) -> None:
        self.files = files
        self.only = only
        self.problems: list[Problem] = []
        self._modules: dict[str, Module | None] = {}
        self._found: dict[tuple[str, str], tuple[Entity, ...]] = {}
        self._chains: dict[str, list[Class | External]] = {}
        self.given_bases: dict[str, list[Class | External]] = {}
        self.local_classes: dict[str, Class] = {}
        self.memo: dict[str, object] = {}
        """What others have found out about definitions, by their paths."""
        self.relevant: frozenset[str] | None = None
        """Files whose definitions are followed from expressions; None for all. Bases are always followed."""

    @cached_property
    def where(self) -> dict[str, str]:
        """Dotted path of each module -> its file, by the packages on disk and by the usual source folders."""
        paths = [path for path in self.files.paths if path.endswith(".py")]
        packages = {path.removesuffix("/__init__.py") for path in paths if path.endswith("/__init__.py")}
        found: dict[str, str] = {}
        for path in paths:
            parts = path.removesuffix(".py").split("/")
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not parts or not all(part.isidentifier() for part in parts):
                if self.only is None:
                    found.setdefault(path.removesuffix(".py"), path)  # a script: nobody can import it
                continue
            start = len(parts) - 1
            while start > 0 and "/".join(parts[:start]) in packages:
                start -= 1
            starts = [start, 0, *([1] if parts[0] in _SOURCE_FOLDERS else [])]
            for index in starts:
                name = ".".join(parts[index:])
                if name and (self.only is None or name.partition(".")[0] == self.only):
                    found.setdefault(name, path)
        return found

    @cached_property
    def modules_in(self) -> dict[str, str]:
        """File -> the dotted path under which it is known."""
        found: dict[str, str] = {}
        for module, file in self.where.items():
            found.setdefault(file, module)
        return found

    @cached_property
    def tops(self) -> frozenset[str]:
        return frozenset(module.partition(".")[0] for module in self.where)

    def module(self, path: str) -> Module | None:
        if path not in self._modules:
            self._modules[path] = self._parse(path) if path in self.where else None
        return self._modules[path]

    def glance(self, path: str) -> Module | None:
        """A module that is read for one question: it is not kept, and nobody is told if it cannot be read."""
        if path in self._modules:
            return self._modules[path]
        told = len(self.problems)
        module = self._parse(path)
        del self.problems[told:]
        return module

    def _parse(self, path: str) -> Module | None:
        file = self.where[path]
        try:
            text = self.files.text(file)
            tree = ast.parse(text)
            return Module(path, file, tree, text, file.endswith("__init__.py"))
        except SyntaxError as error:
            self._complain(file, error.lineno, f"cannot be parsed: {error.msg}")
        except (RecursionError, MemoryError):
            self._complain(file, None, "is nested too deeply to be parsed")
        except (OSError, ValueError) as error:
            self._complain(file, None, f"cannot be read: {error}")
        return None

    @property
    def unreadable(self) -> frozenset[str]:
        """The modules that were looked for and could not be read."""
        return frozenset(path for path, module in self._modules.items() if module is None and path in self.where)

    def _complain(self, file: str, line: int | None, message: str) -> None:
        self.problems.append(Problem(Origin(file, line), message))

    def parsed(self) -> Iterator[Module]:
        yield from [module for module in self._modules.values() if module is not None]

    def forget_bodies(self) -> None:
        """Let go of what functions do, which is most of a syntax tree; what they are called with stays."""
        ahead: list[ast.AST] = [module.tree for module in self.parsed()]
        ahead += [class_.node for class_ in self.local_classes.values()]
        while ahead:
            node = ahead.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                node.body.clear()
            for block in ("body", "orelse", "handlers", "finalbody", "cases"):
                ahead += inner if isinstance(inner := getattr(node, block, None), list) else ()
        self.memo.clear()

    # ---- Names

    def find(self, path: str, steps: int = 0) -> tuple[Entity, ...]:
        """Everything that a dotted path may mean; nothing if the code base should define it and does not."""
        if steps > MAX_STEPS:
            return ()
        if path in self.local_classes:
            return (self.local_classes[path],)
        if path.partition(".")[0] not in self.tops:
            return (External(path),)
        head = path
        while head and head not in self.where:
            head = head.rpartition(".")[0]
        if not head:
            return (External(path),)  # a namespace, which may have other parts elsewhere
        module = self.module(head)
        if module is None:
            return (External(path),)  # it cannot be read: nothing is known of it
        here: tuple[Entity, ...] = (module,)
        for name in path[len(head) + 1 :].split(".") if path != head else ():
            here = tuple(found for entity in here for found in self.attribute(entity, name, steps + 1))
        return here

    def attribute(self, entity: Entity, name: str, steps: int = 0) -> tuple[Entity, ...]:
        """What `entity.name` may mean."""
        if isinstance(entity, Module):
            return self.member(entity, name, steps)
        if isinstance(entity, External):
            return (External(f"{entity.path}.{name}"),)
        if isinstance(entity, Class):
            for owner in self.chain(entity):
                if isinstance(owner, External):
                    return (External(f"{owner.path}.{name}"),)
                if name in owner.members:
                    return self._follow(owner.members[name], owner.module, steps)
            return ()
        if isinstance(entity, Value):
            return (External(f"{entity.path}.{name}"),)
        return ()

    def member(self, module: Module, name: str, steps: int = 0) -> tuple[Entity, ...]:
        """What `from module import name` may give."""
        key = (module.path, name)
        if key not in self._found:
            self._found[key] = ()  # what a cycle finds
            self._found[key] = tuple(dict.fromkeys(self._member(module, name, steps)))
        return self._found[key]

    def _member(self, module: Module, name: str, steps: int) -> Iterable[Entity]:
        if module.stand_in is not None and (other := self._stand_in(module, steps)) is not None:
            return self.member(other, name, steps + 1)
        definitions = module.bindings.get(name, [])
        if self.only is not None and name in module.deleted:
            definitions = []
        usable = [d for d in definitions if not isinstance(d, Import) or d.runtime]
        if module.is_lazy and not usable:
            targets = module.lazy.get(name, [])
            found = [e for target in targets for e in self.find(target, steps + 1)]
            inside = [e for e in found if not isinstance(e, External)]
            held = [e for e in found if e.path.partition(".")[0] in self.tops]  # an attribute of a value, perhaps
            if inside or any(target.rpartition(".")[0] in self.where for target in targets):
                return (inside or held)[:1]
            usable = definitions
        found = [e for d in usable for e in self._follow(d, module, steps)]
        if found:
            return found
        if f"{module.path}.{name}" in self.where:
            submodule = self.module(f"{module.path}.{name}")
            return [submodule] if submodule is not None else [External(f"{module.path}.{name}")]
        if taken := self._starred(module, name, steps):
            return taken
        if name in ("__version__", "__name__", "__file__", "__path__", "__doc__", "__dict__", "__spec__"):
            return [Value(name, module, 1)]
        if module.answers.open or name in module.answers.listed or module.stand_in is not None:
            return [External(f"{module.path}.{name}")]
        return []

    def _starred(self, module: Module, name: str, steps: int) -> list[Entity]:
        """What star imports bring under a name: what is defined comes before what another library may have."""
        found: list[Entity] = []
        for star in [] if name.startswith("_") else module.stars:
            for source in self.find(star, steps + 1):
                if isinstance(source, External):
                    found.append(External(f"{source.path}.{name}"))
                elif isinstance(source, Module):
                    found += self.member(source, name, steps + 1)
        return [entity for entity in found if not isinstance(entity, External)] or found

    def _stand_in(self, module: Module, steps: int) -> Module | None:
        """The module that a module puts in its own place."""
        target = dotted(module.stand_in) if module.stand_in is not None else None
        for definition in module.bindings.get(target or "", ()):
            for entity in self._follow(definition, module, steps + 1):
                if isinstance(entity, Module) and entity is not module:
                    return entity
        return None

    def _follow(self, definition: Import | Value | Function | Class, module: Module, steps: int) -> tuple[Entity, ...]:
        """Through an import, or an assignment of one name to another, to what is meant."""
        if isinstance(definition, Import):
            if definition.path == f"{module.path}.{definition.name}":  # `from . import name`
                submodule = self.module(definition.path)
                return (submodule,) if submodule is not None else (External(definition.path),)
            found = self.find(definition.path, steps + 1)
            source = definition.path.rpartition(".")[0]
            known = found or definition.path in self.where or source in self.where
            return found if known else (External(definition.path),)  # compiled, or made when the package is built
        if isinstance(definition, Value) and definition.node is not None and definition.owner is None:
            target = dotted(definition.node)
            if target is not None and target.partition(".")[0] != definition.name:
                found = self.lookup(target, module, steps + 1)
                return tuple(e for e in found if isinstance(e, Class | Function | External)) or (definition,)
        return (definition,)

    def lookup(self, name: str, module: Module, steps: int = 0) -> tuple[Entity, ...]:
        """What a plain or dotted name means at the top level of a module; nothing for builtins."""
        first, _, rest = name.partition(".")
        if steps > MAX_STEPS or (first not in module.bindings and not module.stars):
            return ()
        here = self.member(module, first, steps)
        if rest and not here and first in self.tops:
            return self.find(name, steps + 1)
        for part in rest.split(".") if rest else ():
            here = tuple(found for entity in here for found in self.attribute(entity, part, steps + 1))
        return here

    def is_relevant(self, path: str) -> bool:
        """Whether the module that a path of the project leads into can tell anything about the package."""
        while path and path not in self.where:
            path = path.rpartition(".")[0]
        return self.relevant is None or not path or self.where[path] in self.relevant

    # ---- Classes

    def bases(self, class_: Class) -> list[Class | External]:
        """Direct bases; of several that one may be, a class that is defined here comes first."""
        if class_.path in self.given_bases:
            return self.given_bases[class_.path]
        found: list[Class | External] = []
        for node in class_.node.bases:
            node = node.value if isinstance(node, ast.Subscript) else node
            name = dotted(node)
            entities = self.lookup(name, class_.module) if name else ()
            classes = [e for e in entities if isinstance(e, Class) and e is not class_]
            outside = [e for e in entities if isinstance(e, External)]
            if classes or outside:
                found.append((classes or outside)[0])
            elif name != "object":
                found.append(External(name or ast.unparse(node)[:60]))
        return found

    def chain(self, class_: Class) -> list[Class | External]:
        """The class and all its bases in the order in which Python looks at them."""
        if class_.path not in self._chains:
            self._chains[class_.path] = [class_]  # what a cycle finds
            self._chains[class_.path] = [class_, *merge([self.chain_of(base) for base in self.bases(class_)])]
        return self._chains[class_.path]

    def chain_of(self, base: Class | External) -> list[Class | External]:
        return [base] if isinstance(base, External) else list(self.chain(base))


def merge(chains: list[list[Class | External]]) -> list[Class | External]:
    """The order of method resolution (C3); where there is none, depth first."""
    merged: list[Class | External] = []
    ahead = [list(chain) for chain in chains if chain]
    while ahead:
        for chain in ahead:
            head = chain[0]
            if not any(head in other[1:] for other in ahead):
                break
        else:
            head = ahead[0][0]
        merged.append(head)
        ahead = [rest for chain in ahead if (rest := [c for c in chain if c != head])]
    return merged
