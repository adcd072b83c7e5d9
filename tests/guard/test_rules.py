"""The rules: each has a pair of projects that it speaks of, and no other does."""

import os
from pathlib import Path

import pytest

from sternpost.guard.diff import compare
from sternpost.guard.extract import extract
from sternpost.guard.facts import KINDS
from sternpost.guard.findings import judge
from sternpost.guard.report import as_text
from sternpost.guard.rules import all_rules
from sternpost.guard.settings import find_settings

from . import trees

CASES = Path(__file__).parent / "cases"
RULES = {rule.id: rule for rule in all_rules()}


def test_every_rule_has_a_pair_and_every_pair_a_rule():
    """A promise without an example of its breach is not tested, and an example without a promise is stale."""
    assert sorted(path.name for path in CASES.iterdir()) == sorted(RULES)


def test_rules_speak_of_facts_that_exist():
    """A misspelt kind, operation or condition would make a promise that never fails."""
    assert len(RULES) == len(all_rules())
    for rule in all_rules():
        assert set(rule.kinds) <= set(KINDS), rule.id
        assert set(rule.ops) <= {"removed", "renamed", "added", "changed", "moved"}, rule.id
        assert rule.bump in ("major", "minor", "patch"), rule.id
        assert (rule.detail != "") == ("changed" in rule.ops), rule.id


@pytest.mark.parametrize("rule", sorted(RULES))
def test_report_of_the_pair(rule: str, tmp_path: Path):
    """What a user is told is fixed word for word. STERNPOST_ACCEPT=1 writes the reports anew; read their diff."""
    told = as_text(trees.case(tmp_path, CASES / rule))
    golden = CASES / rule / "report.txt"
    if os.environ.get("STERNPOST_ACCEPT"):
        golden.write_text(told)
    assert told == golden.read_text()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_no_other_rule_fires_on_the_pair(rule: str, tmp_path: Path):
    """Every pair against every rule, one rule at a time: one cause is one finding. (Pairs may also add things.)"""
    trees.case(tmp_path, CASES / rule)
    old, new = (extract(trees.settings_of(tmp_path / side)) for side in ("old", "new"))
    changes = compare(old, new)
    fired = {other.id for other in all_rules() if judge(changes, [other])}
    assert fired - {"added"} == {rule} - {"added"}
    assert rule in fired


@pytest.mark.parametrize("rule", sorted(RULES))
def test_each_change_of_a_pair_is_one_finding(rule: str, tmp_path: Path):
    """No subject is told twice under the same rule, and every sentence is complete."""
    verdict = trees.case(tmp_path, CASES / rule)
    subjects = [(finding.rule, finding.subject) for finding in verdict.findings]
    assert len(subjects) == len(set(subjects))
    for finding in verdict.findings:
        text = f"{finding.says} {finding.hit} {finding.soften}"
        assert not [part for part in ("{", "``") if part in text], text
        assert [part[-1] for part in (finding.says, finding.soften)] == [".", "."], text


@pytest.mark.parametrize("rule", sorted(RULES))
def test_identical_trees_give_nothing(rule: str, tmp_path: Path):
    """Each side of each pair, compared with itself."""
    trees.case(tmp_path, CASES / rule)
    for side in ("old", "new"):
        settings = trees.settings_of(tmp_path / side)
        assert compare(extract(settings), extract(settings)) == []


def test_settings_of_the_pairs_are_read(tmp_path: Path):
    """The pairs with a pyproject.toml are looked at with its settings."""
    trees.case(tmp_path, CASES / "flag-removed")
    assert find_settings(tmp_path / "old" / "lib").commands == "lib.cli"
