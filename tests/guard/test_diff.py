"""Differences of snapshots, by property: one mutation of an API, one finding, and of the right rule."""

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.guard.diff import compare
from sternpost.guard.extract import extract
from sternpost.guard.facts import Snapshot
from sternpost.guard.findings import judge
from sternpost.guard.snapshot import parse, render

from . import trees
from .generated import Api, Case, apis, mutations


def snapshot(api: Api) -> Snapshot:
    with tempfile.TemporaryDirectory() as folder:
        return trees.module(Path(folder), api.source())


@settings(max_examples=200)
@given(case=mutations())
def test_a_mutation_is_one_finding_of_its_rule(case: Case):
    """Whatever is removed, renamed, reordered, required or given another default: exactly that is told, once."""
    old, new, rule = case
    findings = judge(compare(snapshot(old), snapshot(new)))
    assert [finding.rule for finding in findings] == ([rule] if rule else []), (old.source(), new.source())


@settings(max_examples=60)
@given(api=apis(min_size=2), seed=st.integers(0, 1000))
def test_order_of_the_source_means_nothing(api: Api, seed: int):
    """Definitions and `__all__` in any order give the same snapshot, so that moving code about is no change."""
    shuffled = list(api.items)
    random.Random(seed).shuffle(shuffled)
    assert render(snapshot(api).facts) == render(snapshot(Api(tuple(shuffled))).facts)


@settings(max_examples=60)
@given(api=apis())
def test_identical_trees_differ_in_nothing(api: Api):
    """Also when one of them went through its text."""
    found = snapshot(api)
    again = parse(render(found.facts), "again.txt")
    assert found.facts == again.facts
    assert compare(found, again) == compare(again, found) == []


@settings(max_examples=60)
@given(case=mutations())
def test_what_is_added_one_way_is_removed_the_other(case: Case):
    """A difference never disappears when the sides are swapped."""
    old, new = snapshot(case[0]), snapshot(case[1])
    assert bool(compare(old, new)) == bool(compare(new, old)) == (old.facts != new.facts)


def change_ids(tmp_path: Path, old: str, new: str) -> list[str]:
    before, after = trees.module(tmp_path / "old", old), trees.module(tmp_path / "new", new)
    return [finding.rule for finding in judge(compare(before, after)) if finding.blocking]


def test_a_lost_class_is_told_once(tmp_path: Path):
    """Its arguments, fields, methods and choices went with it, and are not told again."""
    lost = """
from dataclasses import dataclass
from typing import Literal
__all__ = ["Config", "Trainer"]
@dataclass
class Config:
    a: int = 1
    b: Literal["x", "y"] = "x"
class Trainer:
    tag = "t"
    def __init__(self, model, args=None): ...
    def train(self, steps): ...
"""
    assert change_ids(tmp_path, lost, "__all__ = []") == ["name-removed", "name-removed"]


def test_a_name_that_lives_on_elsewhere_keeps_its_members(tmp_path: Path):
    """Only the lost path is a break; the class is compared under the path that is left."""
    old = {
        "lib/__init__.py": "from .sub import A\n__all__ = ['A']",
        "lib/sub.py": "__all__ = ['A']\nclass A:\n    x = 1",
    }
    new = {"lib/__init__.py": "__all__ = []", "lib/sub.py": "__all__ = ['A']\nclass A:\n    y = 'other'"}
    verdict = trees.checked(tmp_path, old, new)
    assert [finding.rule for finding in verdict.breaks] == ["name-removed", "attribute-removed"]
    assert "still there as `lib.sub.A`" in verdict.breaks[0].says


def test_a_lost_module_takes_along_what_it_held(tmp_path: Path):
    """One finding, which lists the names."""
    old = {"lib/__init__.py": "", "lib/sub.py": "__all__ = ['A', 'f']\nclass A: ...\ndef f(): ..."}
    verdict = trees.checked(tmp_path, old, {"lib/__init__.py": ""})
    assert [(f.rule, f.subject, f.also) for f in verdict.breaks] == [
        ("name-removed", "lib.sub", ("lib.sub.A", "lib.sub.f")),
    ]


def test_a_moved_class_is_a_rename(tmp_path: Path):
    """The old path is gone, the new one is named, and the members are compared all the same."""
    body = "class Collator:\n    def __init__(self, pad, side='left'): ...\n    def collate(self, rows): ...\n"
    old = {"lib/__init__.py": "", "lib/a.py": f"__all__ = ['Collator', 'x']\nx = 1\n{body}", "lib/b.py": "__all__ = []"}
    moved = body.replace("left", "right")
    new = {"lib/__init__.py": "", "lib/a.py": "__all__ = ['x']\nx = 1", "lib/b.py": f"__all__ = ['Collator']\n{moved}"}
    verdict = trees.checked(tmp_path, old, new)
    assert [finding.rule for finding in verdict.breaks] == ["name-renamed", "argument-default-changed"]
    assert "`lib.b.Collator`" in verdict.breaks[0].says


def test_what_cannot_be_read_is_not_called_broken(tmp_path: Path):
    """A name whose definition has become dynamic may be what it was."""
    old = "__all__ = ['A']\nclass A:\n    def f(self): ..."
    new = "__all__ = ['A']\nglobals().update(make())"
    assert change_ids(tmp_path, old, new) == []


def test_what_cannot_be_parsed_is_not_called_broken(tmp_path: Path):
    """A module, a contract and a command line with a syntax error: the error is told, and what else is broken."""
    cli = {"lib/cli/__init__.py": "COMMANDS = ('go',)", "lib/cli/go.py": ""}
    old = cli | {
        "pyproject.toml": trees.PYPROJECT + 'commands = "lib.cli"\npublic = ["lib.a", "lib.b"]',
        "lib/__init__.py": "",
        "lib/a.py": "__all__ = ['A']\nclass A: ...",
        "lib/b.py": "__all__ = ['f']\ndef f(x): ...",
        "lib/sft/__init__.py": "",
        "lib/sft/contract.py": "METRICS = ('loss',)",
    }
    broken = dict.fromkeys(("lib/a.py", "lib/sft/contract.py", "lib/cli/__init__.py"), "def (")
    verdict = trees.checked(tmp_path, old, old | broken | {"lib/b.py": "__all__ = ['f']\ndef f(y): ..."})
    assert {problem.origin.file for problem in verdict.problems} == set(broken)
    assert [finding.rule for finding in verdict.findings] == ["argument-renamed"]
    assert verdict.code == 2


def test_a_removed_argument_does_not_move_the_others(tmp_path: Path):
    """The arguments behind it stand elsewhere because of it: one cause, one finding."""
    old = "__all__ = ['f']\ndef f(a, b, c=1, d=2): ..."
    assert change_ids(tmp_path, old, "__all__ = ['f']\ndef f(a, c=1, d=2): ...") == ["argument-removed"]


def test_a_default_that_moved_into_a_constant_is_the_same(tmp_path: Path):
    """The value counts, not how it is written."""
    old = "__all__ = ['f']\ndef f(a=0.5, b=('x', 'y'), c=1024): ..."
    new = '__all__ = [\'f\']\nHALF = 1 / 2\nNAMES = ("x", "y")\ndef f(a=HALF, b=NAMES, c=1 << 10): ...'
    assert change_ids(tmp_path, old, new) == []


def test_breaks_of_experiments_do_not_block(tmp_path: Path):
    """Nothing was promised; the difference is told in one line, and needs no major release."""
    old = {"lib/__init__.py": "", "lib/experimental/__init__.py": "", "lib/experimental/x.py": "def f(a): ..."}
    new = {**old, "lib/experimental/x.py": "def f(b): ..."}
    verdict = trees.checked(tmp_path, old, new)
    assert [(f.rule, f.tier, f.blocking) for f in verdict.findings] == [("argument-renamed", "experimental", False)]
    assert (verdict.code, verdict.bump) == (0, "patch")


def test_a_promotion_is_an_addition(tmp_path: Path):
    """From experimental to stable nobody loses anything."""
    old = {"lib/__init__.py": "from .experimental.x import F\n__all__ = ['F']", "lib/experimental/__init__.py": ""}
    body = "class F:\n    def f(self, a): ..."
    before = {**old, "lib/experimental/x.py": body}
    after = {
        "lib/__init__.py": "from .x import F\n__all__ = ['F']",
        "lib/x.py": body,
        "lib/experimental/__init__.py": "",
    }
    verdict = trees.checked(tmp_path, before, after)
    assert [finding.rule for finding in verdict.breaks] == []


def test_extraction_is_the_same_every_time(tmp_path: Path):
    """Two readings of one tree."""
    config = trees.project(
        tmp_path, {"lib/__init__.py": "from .a import *", "lib/a.py": "def f(x={'b': 1, 'a': 2}): ..."}
    )
    assert render(extract(config).facts) == render(extract(config).facts)
