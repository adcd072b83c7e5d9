"""Type checkers on the faults of `scan_seeded.py`: `python guard_corpus/scan_checkers.py [axolotl|swift]`.

ty and basedpyright see the project's files with contacts, a copy of the package, and everything else that this Python
has installed (torch, transformers). The faults of one kind of edit are put in together, because a run takes up to a
minute: names that are imported in one copy, all others in a second. A fault is found if a checker says something new
within four lines of the contact; a neighbour's complaint counts too, so that the numbers flatter them a little.
"""

import json
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections import Counter
from pathlib import Path

from scan_seeded import CACHE, DRAWN, FAMILIES, NEAR, PROJECTS, Edited, faults, renamed

from sternpost.guard.packages import fetch
from sternpost.guard.scan.library import Library
from sternpost.guard.scan.scan import read_library

PINNED = ("ty==0.0.105", "basedpyright==1.40.2")

Said = Counter[tuple[str, int, str]]
"""File, line and message of what a checker says."""


def tools() -> Path:
    """An environment with the checkers alone."""
    folder = CACHE / "checkers"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run((folder / "bin" / "python", "-m", "pip", "install", "--quiet", *PINNED), check=True)
        (folder / "ready").touch()
    return folder / "bin"


def with_ty(root: Path, package: Path, files: list[str]) -> Said:
    command = (tools() / "ty", "check", "--output-format", "gitlab", "--exit-zero", "--python", sys.prefix)
    more = ("--extra-search-path", str(package), "--project", str(root), *files)
    done = subprocess.run((*command, *more), cwd=root, capture_output=True, text=True, check=True)
    rows = [(row["location"], row["description"]) for row in json.loads(done.stdout)]
    return Counter((shown(root, at["path"]), at["positions"]["begin"]["line"], message) for at, message in rows)


def with_basedpyright(root: Path, package: Path, files: list[str]) -> Said:
    settings = {"include": files, "extraPaths": [str(package)], "typeCheckingMode": "standard"}
    (root / "pyrightconfig.json").write_text(json.dumps(settings))
    command = (tools() / "basedpyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(root))
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    rows = json.loads(done.stdout)["generalDiagnostics"]
    return Counter((shown(root, row["file"]), row["range"]["start"]["line"] + 1, row["message"]) for row in rows)


def shown(root: Path, file: str) -> str:
    """A file by its path below the project."""
    return Path(file).relative_to(root.resolve()).as_posix() if Path(file).is_absolute() else file


CHECKERS = {"ty": with_ty, "basedpyright": with_basedpyright}


def written(folder: Path, library: Library) -> Path:
    """A copy of the package on disk."""
    for file, text in library.texts.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return folder


def broken(library: Library, contacts: list[dict]) -> Library:
    """The package with all these faults in it, one after the other."""
    texts: dict[str, str] = {}
    for contact in contacts:
        here = Library(Edited(library.files, dict(texts)), "trl", library.version, "trl with faults")
        texts |= renamed(here, contact)
    return Library(Edited(library.files, texts), "trl", library.version, "trl with faults")


def measure(name: str, scratch: Path) -> None:
    """One line for each checker."""
    distribution, release, version = PROJECTS[name]
    root = scratch / "project"
    with zipfile.ZipFile(fetch(distribution, release, CACHE)) as wheel:
        wheel.extractall(root)
    old = read_library(version, "trl", CACHE)
    contacts = [contact for contact, _ in faults(name, old, False)]
    batches = [[c for c in contacts if (FAMILIES[c["kind"]] == "import") == first] for first in (True, False)]
    copies = [written(scratch / "old", old)]
    copies += [written(scratch / f"new{n}", broken(old, batch)) for n, batch in enumerate(batches)]
    files = sorted({contact["file"] for contact in contacts})
    for checker, run in CHECKERS.items():
        started = time.monotonic()
        before, *after = (run(root, copy, files) for copy in copies)
        found: Counter[str] = Counter()
        for batch, said in zip(batches, after, strict=True):
            fresh = said - before
            for contact in batch:
                lines = [line for file, line, _ in fresh if file == contact["file"]]
                found[FAMILIES[contact["kind"]]] += any(abs(a - b) <= NEAR for a in lines for b in contact["lines"])
        put = Counter(FAMILIES[contact["kind"]] for contact in contacts)
        table = {family: f"{found[family]}/{put[family]}" for family in DRAWN[name]}
        total = {"found": found.total(), "seeded": put.total(), "said-before": before.total()}
        seconds = round((time.monotonic() - started) / len(copies), 1)
        row = {"table": f"scan-checkers-{name}", "checker": checker, **table, **total, "seconds-a-run": seconds}
        print("CORPUS", json.dumps(row), flush=True)


def main(arguments: list[str]) -> None:
    for name in arguments or PROJECTS:
        with tempfile.TemporaryDirectory() as scratch:
            measure(name, Path(scratch))


if __name__ == "__main__":
    main(sys.argv[1:])
