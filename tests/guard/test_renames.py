"""Which things are taken for renamed, and which are not."""

from pathlib import Path

import pytest

from sternpost.guard.diff import compare
from sternpost.guard.extract import extract
from sternpost.guard.facts import Fact, make_fact
from sternpost.guard.findings import judge
from sternpost.guard.renames import MAX_PAIRS, match, name_likeness, names_alike
from sternpost.guard.snapshot import HEADER, parse

from . import trees


@pytest.mark.parametrize(
    ("old", "new", "alike"),
    [
        ("max_seq_length", "max_length", True),
        ("tokenizer", "processing_class", False),
        ("evaluation_strategy", "eval_strategy", True),
        ("dataset_name", "name_of_dataset", True),
        ("packing", "padding_free", False),
        ("rewards/margins", "reward_margins", True),
        ("beta", "gamma", False),
    ],
)
def test_likeness_of_names(old: str, new: str, alike: bool):
    """By letters, by words in any order, or by one being part of the other."""
    assert (name_likeness(old, new) >= 0.6) is alike


FIELDS = [
    ("max_prompt_length: int = 512", "max_prompt_tokens: int = 512", "renamed"),
    ("overlong_filter: bool = False", "mask_truncated: bool = False", "removed"),
    ("threshold: float = 0.731", "cutoff: float = 0.731", "renamed"),
    ("packing: bool = False", "unrelated: str = 'x'", "removed"),
    ("evaluation_mode: str = 'a'", "evaluate_mode: str = 'b'", "renamed and changed"),
]


@pytest.mark.parametrize(("old", "new", "outcome"), FIELDS)
def test_fields_without_a_place(tmp_path: Path, old: str, new: str, outcome: str):
    """Keyword-only: a similar name, or a default that few others have."""
    head = "from dataclasses import dataclass\n__all__ = ['C']\n@dataclass(kw_only=True)\nclass C:\n    "
    before, after = trees.module(tmp_path / "old", head + old), trees.module(tmp_path / "new", head + new)
    rules = {finding.rule for finding in judge(compare(before, after))}
    assert (
        rules
        == {
            "renamed": {"field-renamed"},
            "renamed and changed": {"field-renamed", "field-default-changed"},
            "removed": {"field-removed", "added"},
        }[outcome]
    )


def test_the_most_alike_are_paired(tmp_path: Path):
    """Each lost and each new thing counts once."""
    old = "__all__ = ['f']\ndef f(*, chosen_ids=None, rejected_ids=None): ..."
    new = "__all__ = ['f']\ndef f(*, rejected_input_ids=None, chosen_input_ids=None): ..."
    before, after = trees.module(tmp_path / "old", old), trees.module(tmp_path / "new", new)
    pairs = {finding.subject: finding.new for finding in judge(compare(before, after))}
    assert pairs == {
        "lib.f(chosen_ids)": "chosen_input_ids = None (keyword-only)",
        "lib.f(rejected_ids)": "rejected_input_ids = None (keyword-only)",
    }


def test_functions_that_only_share_a_name_are_not_the_same(tmp_path: Path):
    """A `main` with other arguments in another module is another function."""
    body = "__all__ = ['main', 'x']\nx = 1\n"
    old = {"lib/__init__.py": "", "lib/a.py": body + "def main(argv, stream): ...", "lib/b.py": "__all__ = []"}
    new = {"lib/__init__.py": "", "lib/a.py": "__all__ = ['x']\nx = 1", "lib/b.py": body + "def main(loop): ..."}
    assert [finding.rule for finding in trees.checked(tmp_path, old, new).breaks] == ["name-removed"]


BODY = """
def {name}({first}, {second}=1):
    {first} = torch.nn.functional.pad({first}, value={second})
    mask = {first}.ne({second}).long().cumsum(dim=-1)
    return torch.where(mask.bool(), {first}, mask.to({first}.dtype))
"""
OTHER = """
def {name}({first}, {second}=1):
    handle = Path({first}).open(mode="w", encoding="utf-8")
    json.dump({second}, handle, sort_keys=True, indent=2)
    return handle.closed
"""


def renamed(tmp_path: Path, old: str, new: str) -> list[tuple[str, str]]:
    pyproject = {"pyproject.toml": trees.PYPROJECT + "internal = true\n"}
    sides = [
        trees.project(tmp_path / n, pyproject | {"lib/__init__.py": text}) for n, text in (("old", old), ("new", new))
    ]
    findings = judge(compare(*(extract(side) for side in sides)))
    return [(finding.rule, finding.subject) for finding in findings if finding.blocking]


def test_a_body_is_known_under_another_name(tmp_path: Path):
    """Whatever the function and its variables are called now, as long as the words of its body stayed."""
    old = BODY.format(name="fill_up", first="rows", second="value")
    new = BODY.format(name="normalise", first="tensor", second="padding")
    assert ("name-renamed", "lib.fill_up") in renamed(tmp_path, old, new)


def test_another_body_is_another_function(tmp_path: Path):
    """Although it is called much like the lost one and takes the same arguments."""
    old = BODY.format(name="write_rows", first="rows", second="value")
    new = OTHER.format(name="write_logs", first="rows", second="value")
    assert renamed(tmp_path / "other", old, new) == [("name-removed", "lib.write_rows")]
    new = BODY.format(name="write_logs", first="rows", second="value")
    assert renamed(tmp_path / "same", old, new) == [("name-renamed", "lib.write_rows")]


def test_short_bodies_tell_nothing(tmp_path: Path):
    """Nor does a body that changed in a snapshot whose surface did not."""
    text = "def f(a):\n    return a.x()\n"
    snapshot = extract(trees.project(tmp_path, {"lib/__init__.py": text}))
    assert [fact.get("body") for fact in snapshot.kind("function")] == [None]
    lines = [f"{HEADER}\nfunction lib.f body={print_} order=a\n" for print_ in ("0011223344556677", "8899aabbccddeeff")]
    before, after = (parse(text, "a.txt") for text in lines)
    assert before.changed(after) == set()
    assert compare(before, after) == []


def metrics(names: list[str]) -> list[Fact]:
    return [make_fact("metric", "lib.sft", name) for name in names]


def test_a_new_package_is_not_searched_for_renames():
    """Comparing every pair of thousands takes minutes and finds nothing that a person would believe."""
    many = metrics([f"metric_{i}" for i in range(MAX_PAIRS + 1)])
    assert match(many, metrics(["metric_x"]), names_alike) == {}
    assert match(many[:3], metrics(["metric_x"]), names_alike) != {}


def test_pairs_do_not_depend_on_the_order():
    """Ties are broken by name."""
    old, new = metrics(["entropy_a", "entropy_b"]), metrics(["entropy_c", "entropy_d"])
    assert match(old, new, names_alike) == match(old[::-1], new[::-1], names_alike)
