"""A project's contacts by an extractor of its own: `python guard_corpus/scan_contacts.py ms-swift==3.10.1 trl==0.24.0`.

Faults are drawn from what this finds, not from what the scan finds, so it shares no code with it: names are matched
by their last part, classes by their names, over plain syntax trees. It sees less, and what it sees is written in
the form of `scan_swift_contacts.jsonl`: kind, file, lines, symbol.
"""

import ast
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scan_history import release

from sternpost.guard.foreign import known_bases

Contacts = dict[tuple[str, ...], set[int]]


THEIR_BASES = frozenset(fact.name for fact in known_bases().kind("method"))
"""Methods of transformers' own classes: losing the package's version of one leaves that."""


def trees(archive: Path) -> Iterator[tuple[str, ast.Module]]:
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            if name.endswith(".py"):
                yield name, ast.parse(wheel.read(name))


class Known:
    """Classes by their names: bases, members, fields, and which members are functions."""

    def __init__(self) -> None:
        self.bases: dict[str, list[str]] = {}
        self.members: dict[str, set[str]] = defaultdict(set)
        self.methods: dict[str, set[str]] = defaultdict(set)
        self.fields: dict[str, set[str]] = defaultdict(set)

    def add(self, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self.bases[node.name] = [last(base) for base in node.bases]
                for item in node.body:
                    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                        self.methods[node.name].add(item.name)
                    elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                        self.fields[node.name].add(item.target.id)
                written = {n.attr for n in ast.walk(node) if is_self(n) and isinstance(n.ctx, ast.Store)}
                self.members[node.name] |= written | self.methods[node.name] | self.fields[node.name]

    def all_of(self, table: dict[str, set[str]], name: str, depth: int = 0) -> set[str]:
        """With those of the bases, as far as their names are known."""
        found = set(table.get(name, ()))
        for base in self.bases.get(name, ()) if depth < 9 else ():
            found |= self.all_of(table, base, depth + 1) if base != name else set()
        return found


def last(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def imports(tree: ast.Module, package: str) -> Iterator[tuple[str, str, int]]:
    """Local name, dotted path and line of everything that is imported from the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == package and not node.level:
            yield from (
                (alias.asname or alias.name, f"{node.module}.{alias.name}", node.lineno) for alias in node.names
            )


def contacts(project: Path, archive: Path, package: str) -> Contacts:
    """(kind, file, symbol, argument) -> lines."""
    theirs, own = Known(), Known()
    for name, tree in trees(archive):
        if name.startswith(f"{package}/"):
            theirs.add(tree)
    files = dict(trees(project))
    for tree in files.values():
        own.add(tree)
    options = set().union(*(theirs.fields[name] for name in theirs.fields if name.endswith("Config")))
    found: Contacts = defaultdict(set)
    for file, tree in files.items():
        names = {}
        for name, path, line in imports(tree, package):
            names[name] = path
            found["import", file, path, ""].add(line)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                for keyword in node.keywords:
                    if keyword.arg:
                        found["call_kwarg", file, names[node.func.id], keyword.arg].add(keyword.value.lineno)
            elif isinstance(node, ast.ClassDef):
                bases = [names[base] for base in map(last, node.bases) if base in names]
                for path in bases:
                    of_class(found, file, node, path, theirs, own, options)
    return found


def of_class(
    found: Contacts, file: str, node: ast.ClassDef, path: str, theirs: Known, own: Known, options: set[str]
) -> None:
    """What a class that derives from the package reads, calls, overrides."""
    base = path.rpartition(".")[2]
    mine = own.all_of(own.members, node.name)
    members, methods = theirs.all_of(theirs.members, base), theirs.all_of(theirs.methods, base) - THEIR_BASES
    calls = {id(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name in methods and not item.name.startswith("__"):
            found["override", file, f"{path}.{item.name}", ""].add(item.lineno)
    for n in ast.walk(node):
        if not isinstance(n, ast.Attribute) or not isinstance(n.ctx, ast.Load):
            continue
        if is_self(n) and n.attr in members - mine - THEIR_BASES:
            kind = "self_call" if id(n) in calls else "self_read"
            found[kind, file, f"{node.name}:{n.attr}", ""].add(n.lineno)
        elif isinstance(n.value, ast.Call) and last(n.value.func) == "super" and n.attr in methods:
            if not n.attr.startswith("__"):
                found["super_call", file, f"{path}.{n.attr}", ""].add(n.lineno)
        elif last(n.value) == "args" and is_self(n.value) and n.attr in options:
            found["args_read", file, f"{node.name}:{n.attr}", ""].add(n.lineno)


def main(arguments: list[str]) -> None:
    project, package = arguments
    found = contacts(release(project), release(package), package.partition("==")[0])
    for (kind, file, symbol, argument), lines in sorted(found.items()):
        row = {"kind": kind, "file": file, "lines": sorted(lines), "symbol": symbol}
        print(json.dumps(row | ({"argument": argument} if argument else {})))


if __name__ == "__main__":
    main(sys.argv[1:])
