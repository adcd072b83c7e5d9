"""Static extraction against importing, over the releases of a real project.

    python guard_corpus/surface_measure.py PYTHON [VERSION...]

PYTHON is an interpreter that has what the releases need (torch, transformers, ...). Each release is imported there from
its unpacked wheel; names that cannot be imported there are counted apart. One `CORPUS {json}` line is the table.
"""

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sternpost.guard.facts import Snapshot
from sternpost.guard.foreign import inherited_fields
from sternpost.guard.packages import locate
from sternpost.guard.values import same_value
from sternpost.guard.versions import read_version

HERE = Path(__file__).parent
CACHE = HERE.parent / ".nox" / "corpus"
VERSIONS = (
    *("0.9.6", "0.10.1", "0.11.4", "0.12.2", "0.13.0", "0.14.0", "0.15.2", "0.16.1", "0.17.0", "0.18.2", "0.19.0"),
    *("0.20.0", "0.21.0", "0.22.2", "0.23.1", "0.24.0", "0.25.1", "0.26.2", "0.27.2", "0.28.0", "0.29.1", "1.0.0"),
    *("1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.1", "1.6.0", "1.7.1", "1.8.0", "1.9.2", "1.10.0", "1.11.0", "1.12.0"),
    *("1.13.0", "1.14.2", "1.15.0", "1.16.0"),
)


@dataclass
class Table:
    """What was compared, what agreed, and what only running can tell."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, kind: str, subject: str, agrees: bool | None, note: str = "") -> None:
        """None: the static side says itself that it does not know."""
        self.counts[f"{kind}_{'dynamic' if agrees is None else 'compared'}"] += 1
        if agrees:
            self.counts[f"{kind}_agree"] += 1
        elif agrees is not None:
            self.wrong.append(f"{kind} {subject} {note}")


def imported(python: str, version: str, modules: list[str]) -> dict:
    root = locate(f"trl=={version}", CACHE).root
    variables = os.environ | {"PYTHONPATH": str(full_wheel(version, root)), "HF_HUB_OFFLINE": "1"}
    command = (python, str(HERE / "surface_import.py"), "trl", *modules)
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, cwd=root)
    lines = [line for line in done.stdout.splitlines() if line.startswith("SURFACE ")]
    return json.loads(lines[-1].removeprefix("SURFACE ")) if lines else {}


def full_wheel(version: str, root: Path) -> Path:
    """The wheel with its data files: packages read their version and templates when they are imported."""
    target = root.parent / f"full-{version}"
    if not target.exists():
        wheel = next((CACHE / "downloads").glob(f"trl-{version}-*.whl"))
        subprocess.run((sys.executable, "-m", "zipfile", "-e", str(wheel), str(target)), check=True)
    return target


def compare(version: str, real: dict, snapshot: Snapshot, table: Table) -> None:
    for module, names in real.items():
        stated = {p.rpartition(".")[2]: f for p, f in snapshot.names.items() if p.rpartition(".")[0] == module}
        for name, said in names.items() if module else ():
            if not name or "error" in said:
                table.counts["not_importable"] += 1
                continue
            if said["kind"] == "module" or (name not in stated and said["kind"] == "constant"):
                continue
            table.add("names", f"{version} {module}.{name}", name in stated)
            home = snapshot.home(f"{module}.{name}")
            if home is not None and snapshot.names[home].kind == "class":
                compare_fields(f"{version} {home}", said["fields"], snapshot, home, table)
                compare_made(f"{version} {home}", said.get("made") or {}, snapshot, home, table)
        static = {name for name, fact in stated.items() if fact.get("tier") != "internal" and fact.kind != "module"}
        for name in static - set(names) if names and "" not in names else ():
            if not name.startswith("_"):
                needs = stated[name].get("needs")  # a library, say, that is not there
                table.add("names", f"{version} {module}.{name}", None if needs else False, "only static")


def compare_fields(subject: str, real: dict, snapshot: Snapshot, home: str, table: Table) -> None:
    if not real:
        return
    stated = {fact.name: fact for fact in inherited_fields(snapshot, home)}
    overridden = {fact.name: fact for fact in snapshot.owned("field", home)}
    base = set(stated) - set(overridden)
    stated |= overridden
    for name, default in real.items():
        if name in base or (name not in stated and name.startswith("_")):
            continue  # of the base in another library, in its own version
        if name not in stated:
            table.add("fields", f"{subject}.{name}", False, "is not stated")
            continue
        table.add("fields", f"{subject}.{name}", True)
        text = stated[name].get("default")
        table.add("defaults", f"{subject}.{name}", agree(text, default), f"{text} is {default}")
    for name in overridden.keys() - real.keys():
        table.add("fields", f"{subject}.{name}", False, "does not exist")


def compare_made(subject: str, made: dict, snapshot: Snapshot, home: str, table: Table) -> None:
    """What the constructor leaves, with nothing given but what a machine without a GPU needs."""
    for fact in snapshot.owned("field", home) if made else ():
        if fact.name in made["given"] or fact.name not in made["values"] or fact.get("init") == "no":
            continue
        text = fact.get("settled") or fact.get("default")
        real = made["values"][fact.name]
        agrees = None if text == "?" else agree(text, real)
        table.add("effective", f"{subject}.{fact.name}", agrees, f"{text} is {real}")


def agree(stated: str | None, real: str | None) -> bool | None:
    if stated is None or real is None:
        return stated == real
    try:
        ast.literal_eval(stated)
    except (ValueError, SyntaxError):
        return stated == real or None
    return same_value(stated, real)


def main(python: str, versions: list[str]) -> None:
    total = Table()
    for version in versions or VERSIONS:
        snapshot = read_version(f"trl=={version}", CACHE).snapshot
        real = imported(python, version, ["trl", "trl.trainer"])
        table = Table()
        compare(version, real, snapshot, table)
        print(version, dict(sorted(table.counts.items())), *table.wrong, sep="\n  ")
        total.counts.update(table.counts)
        total.wrong += table.wrong
    print("CORPUS", json.dumps({"table": "surface", **dict(sorted(total.counts.items())), "wrong": len(total.wrong)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
