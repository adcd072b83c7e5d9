"""A small project and two versions of a package, and what the scan says of them."""

from pathlib import Path
from textwrap import dedent

from sternpost.guard.scan.collect import Collection, collect
from sternpost.guard.scan.files import Folder
from sternpost.guard.scan.hits import Hit
from sternpost.guard.scan.library import Library
from sternpost.guard.scan.scan import Scan, scan

BASE = """
from dataclasses import dataclass, field

@dataclass
class Config:
    beta: float = 0.1
    steps: int = field(default=3)

class Trainer:
    tag = "t"

    def __init__(self, model, args: Config = None):
        self.model = model
        self.args = args
        self.width = 3

    def hook(self, x):
        return x, 1

    def step(self):
        a, b = self.hook(1)
        return self.width

def pad(x, value=0, side="left"):
    return x
"""


def write(root: Path, files: dict[str, str]) -> Folder:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(dedent(text), encoding="utf-8")
    return Folder(root)


def library(root: Path, text: str | dict[str, str], version: str) -> Library:
    """One version of the package `lib`; a text is its only module."""
    files = {"lib/__init__.py": text} if isinstance(text, str) else text
    return Library(write(root, files), "lib", version, f"lib {version}")


def project(root: Path, text: str | dict[str, str]) -> Collection:
    return collect(write(root, {"app.py": text} if isinstance(text, str) else text), "lib")


def scanned(root: Path, code: str | dict[str, str], old: str | dict[str, str], new: str | dict[str, str]) -> Scan:
    """The scan of a project between `lib` 1.0 and 2.0."""
    collection = project(root / "project", code)
    return scan(collection, library(root / "old", old, "1.0"), library(root / "new", new, "2.0"), "project")


def hits(root: Path, code: str | dict[str, str], old: str | dict[str, str], new: str | dict[str, str]) -> list[Hit]:
    found = scanned(root, code, old, new)
    assert not scanned(root, code, old, old).hits  # on the same version there is nothing to say
    return found.hits


def rules(found: list[Hit]) -> list[str]:
    return [hit.rule for hit in found]


def changed(old: str, new: str) -> str:
    """`BASE` with one piece replaced."""
    assert old in BASE
    return BASE.replace(old, new)
