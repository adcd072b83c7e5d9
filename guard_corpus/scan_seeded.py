"""Faults put into a package, one at a time, where a project touches it: `python guard_corpus/scan_seeded.py`.

`scan_<project>_contacts.jsonl` lists a project's contacts, made by other extractors: kind, file, lines and symbol. A
fault renames what a contact relies on in a copy of the package; it is found if `guard scan` tells something new near
it. Faults are drawn by kind in an order that a digest of the contact gives; `--all` takes every contact, `--missed`
lists what is not found. Rows with `own` are left out: it says why a fault there breaks nothing.
"""

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from sternpost.guard.packages import fetch
from sternpost.guard.scan.code import Class, Function, Value
from sternpost.guard.scan.collect import Collection
from sternpost.guard.scan.files import Files
from sternpost.guard.scan.hits import Hit
from sternpost.guard.scan.library import Library
from sternpost.guard.scan.scan import read_library, read_project, scan

HERE = Path(__file__).parent
CACHE = HERE.parent / ".nox" / "corpus"
PROJECTS = {"axolotl": ("axolotl", "0.19.0", "1.9.0"), "swift": ("ms-swift", "3.10.1", "0.24.0")}
"""Table -> project, its release, and the version of the package that it works with."""
DRAWN = {
    "axolotl": {"import": 20, "argument": 8, "patch": 2, "inherited": 24, "override": 8, "option": 5},
    "swift": {"import": 34, "argument": 10, "patch": 1, "inherited": 12, "override": 12, "option": 3},
}
"""Faults of each kind: as many as the project has contacts for, 67 or more in all."""
FAMILIES = {
    "import": "import",
    "call_kwarg": "argument",
    "monkeypatch": "patch",
    "self_read": "inherited",
    "self_call": "inherited",
    "self_call_overridden": "inherited",
    "super_call": "inherited",
    "override": "override",
    "config_key_by_string": "option",
    "args_read": "option",
}
NEAR = 4


class Edited(Files):
    """A package with the text of some files replaced."""

    def __init__(self, files: Files, texts: dict[str, str]) -> None:
        self.files = files
        self.texts = texts
        self.shown = files.shown

    @cached_property
    def paths(self) -> list[str]:
        return self.files.paths

    def read(self, path: str) -> bytes:
        return self.texts[path].encode() if path in self.texts else self.files.read(path)


def renamed(library: Library, contact: dict) -> dict[str, str]:
    """The files of the package with what the contact relies on renamed; nothing if it is not there."""
    family, symbol = FAMILIES[contact["kind"]], contact["symbol"]
    name = re.split(r"[.:]", symbol)[-1]
    if family in ("import", "patch"):
        return _definition(library, symbol, name)
    if family == "argument":
        return _argument(library, symbol, contact["argument"])
    if family == "option":
        pattern = re.compile(rf"^    {name}:", re.M)
        return {f: pattern.sub(f"    {name}_seeded:", t) for f, t in library.texts.items() if pattern.search(t)}
    if name.startswith("__"):
        return {}
    word = re.compile(rf"(?<![\w\"']){name}(?!\w)")
    defined = re.compile(rf"def {name}\(|self\.{name}\b")
    if not any(defined.search(text) for text in library.texts.values()):
        return {}
    return {f: word.sub(f"{name}_seeded", t) for f, t in library.texts.items() if word.search(t)}


def _definition(library: Library, symbol: str, name: str) -> dict[str, str]:
    entity = library.one(symbol)
    if not isinstance(entity, Class | Function | Value):
        return {}
    word = re.compile(rf"\b{name}\b")
    return {f: word.sub(f"{name}_seeded", t) for f, t in library.texts.items() if word.search(t)}


def _argument(library: Library, symbol: str, name: str) -> dict[str, str]:
    entity = library.one(symbol)
    node = entity.node if isinstance(entity, Class | Function) else None
    if node is None:
        return {}
    lines = library.texts[entity.module.file].splitlines(keepends=True)
    body = "".join(lines[node.lineno - 1 : node.end_lineno])
    edited = re.sub(rf"(?<![\w.]){name}\b", f"{name}_seeded", body)
    return {entity.module.file: "".join([*lines[: node.lineno - 1], edited, *lines[node.end_lineno :]])}


def faults(name: str, library: Library, everything: bool) -> Iterator[tuple[dict, dict[str, str]]]:
    """Contacts of a project, in an order that nobody chose, each with the files of the package that break it."""
    lines = (HERE / f"scan_{name}_contacts.jsonl").read_text().splitlines()
    contacts = [contact for contact in map(json.loads, lines) if contact["kind"] in FAMILIES and not contact.get("own")]
    contacts.sort(key=lambda contact: hashlib.sha256(json.dumps(contact, sort_keys=True).encode()).hexdigest())
    left = Counter(DRAWN[name])
    for contact in contacts:
        family = FAMILIES[contact["kind"]]
        texts = renamed(library, contact) if left[family] > 0 or everything else {}
        if texts:
            left[family] -= 1
            yield contact, texts


def is_near(hit: Hit, contact: dict) -> bool:
    """Within a few lines; a name of a long import is told on its own line, and contacts give that of the statement."""
    if contact["kind"] == "import" and hit.contact.kind == "import":
        return hit.contact.path == contact["symbol"]
    return any(abs(hit.at - line) <= NEAR for line in contact["lines"])


def main(arguments: list[str]) -> None:
    for name, (distribution, release, version) in PROJECTS.items():
        if name in arguments or not any(known in arguments for known in PROJECTS):
            project = read_project(fetch(distribution, release, CACHE), "trl")
            measure(name, project, read_library(version, "trl", CACHE), arguments)


def measure(name: str, project: Collection, old: Library, arguments: list[str]) -> None:
    """One table."""
    before = {(hit.rule, hit.place, hit.symbol) for hit in scan(project, old, old, name).hits}
    put: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for contact, texts in faults(name, old, "--all" in arguments):
        family = FAMILIES[contact["kind"]]
        put[family] += 1
        new = Library(Edited(old.files, texts), "trl", old.version, "trl with a fault")
        near = [
            hit
            for hit in scan(project, old, new, name).hits
            if (hit.rule, hit.place, hit.symbol) not in before
            and hit.contact.place.file == contact["file"]
            and is_near(hit, contact)
        ]
        found[family] += bool(near)
        if "--missed" in arguments and not near:
            print("missed", contact["kind"], contact["file"], contact["lines"][:3], contact["symbol"], flush=True)
    table = {family: f"{found[family]}/{put[family]}" for family in DRAWN[name]}
    total = {"found": found.total(), "seeded": put.total(), "same-version": len(before)}
    print("CORPUS", json.dumps({"table": f"scan-seeded-{name}", **table, **total}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
