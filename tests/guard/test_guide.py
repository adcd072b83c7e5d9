"""docs/guard.md shows what the guard does, as it does it."""

import re
import tomllib
from pathlib import Path

from sternpost.guard.allowances import read_allowances
from sternpost.guard.extract import extract
from sternpost.guard.facts import KINDS, Origin, make_fact
from sternpost.guard.report import as_text
from sternpost.guard.rules import all_rules
from sternpost.guard.settings import find_settings
from sternpost.guard.snapshot import parse_fact, render_fact

from . import trees

CASES = Path(__file__).parent / "cases"
GUIDE = (Path(__file__).parents[2] / "docs" / "guard.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, flags=re.M | re.S)


def block(kind: str, start: str) -> str:
    (found,) = [text for language, text in BLOCKS if language == kind and text.startswith(start)]
    return found


def test_there_is_an_example_of_each_kind_of_fact():
    """In the form in which snapshots hold them."""
    lines = block("text", "module ").splitlines()
    facts = [parse_fact(line, Origin("guard.md", number)) for number, line in enumerate(lines)]
    assert sorted(fact.kind for fact in facts) == sorted(KINDS)
    assert [render_fact(fact) for fact in facts] == lines


def test_every_detail_is_explained(tmp_path: Path):
    """Each that occurs in the snapshots of the rules' pairs, and no other."""
    written = set()
    for folder in sorted(CASES.iterdir()):
        trees.case(tmp_path / folder.name, folder)
        for side in ("old", "new"):
            snapshot = extract(trees.settings_of(tmp_path / folder.name / side))
            written |= {detail for fact in snapshot.facts for detail, _ in fact.details}
    table = GUIDE[GUIDE.index("| detail | of | says |") : GUIDE.index("## On your own package")]
    first_columns = " ".join(row.split("|")[1] for row in table.splitlines()[2:] if row)
    assert written | {"body", "dynamic", "excluded", "last", "marker", "needs", "seen", "settled", "since"} == set(
        re.findall(r"`(\w+)`", first_columns)
    )


def test_the_rules_are_those_of_the_guard():
    """Name, release and sentence of each, in their order."""
    rows = re.findall(r"^\| `([\w-]+)` \| (major|minor|patch) \| (.*) \|$", GUIDE, flags=re.M)
    assert rows == [(rule.id, rule.bump, rule.says.replace("|", "\\|")) for rule in all_rules()]


def test_the_example_of_a_finding_is_one(tmp_path: Path):
    """Word for word what the report would print, but for the places."""
    head = "from dataclasses import dataclass\n__all__ = ['SFTConfig']\n@dataclass(kw_only=True)\nclass SFTConfig:\n"
    old, new = (f"{head}    max_length: int | None = {length}\n" for length in (1024, 2048))

    told = as_text(trees.checked(tmp_path, {"lib.py": old}, {"lib.py": new})).replace(
        "lib.SFTConfig", "sternpost.SFTConfig"
    )
    without_places = [re.sub(r" +\(\S+:\d+\)$", "", line) for line in told.split("\n\n")[0].splitlines()]
    shown = block("text", "BREAK").splitlines()
    assert without_places == [re.sub(r" +\(\S+:\d+\)$", "", line) for line in shown]


def test_the_examples_of_settings_and_exceptions_are_accepted(tmp_path: Path):
    """By the code that reads them."""
    table = block("toml", "[tool.yourpackage.guard]")
    (tmp_path / "src/yourpackage").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "yourpackage"\n\n{table}')
    assert find_settings(start=tmp_path).tier("yourpackage.lab.x") == "experimental"
    assert tomllib.loads(table)["tool"]["yourpackage"]["guard"].keys() == {
        "package",
        "snapshots",
        "public",
        "private",
        "experimental",
        "legacy",
        "commands",
        "tombstones",
        "ignore-extras",
        "internal",
    }
    (tmp_path / "except.toml").write_text(block("toml", "[[allow]]"))
    assert read_allowances(tmp_path / "except.toml", "except.toml")[0].until == "0.4.0"


def test_paths_read_well():
    """Subjects in findings and exceptions, as the guide writes them."""
    assert make_fact("field", "sternpost.SFTConfig", "max_length").path == "sternpost.SFTConfig.max_length"
    assert make_fact("param", "sternpost.pack_dataset", "strategy").path == "sternpost.pack_dataset(strategy)"
    assert make_fact("flag", "sternpost:sft", "--packing").path == "sternpost sft --packing"
    assert make_fact("metric", "sternpost.sft", "entropy").path == "sternpost.sft: entropy"
