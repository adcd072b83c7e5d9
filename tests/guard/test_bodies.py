"""What the bodies of functions tell, read and not run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sternpost.guard.bodies import Bodies, Body
from sternpost.guard.sources import Tree
from sternpost.guard.words import announced

from . import trees


def body(tmp_path: Path, text: str, name: str = "f") -> Body:
    found = Bodies(Tree(trees.project(tmp_path, {"lib.py": text}))).at("lib", name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("returns", "gives"),
    [
        ("return 1, 2", "2"),
        ("if x:\n  return 1, 2\n return 3, 4", "2"),
        ("if x:\n  return None\n return 3, 4", None),
        ("if x:\n  return\n return 3, 4, 5", "3"),
        ("if x:\n  return 1, 2\n return 3, 4, 5", None),
        ("return (*x, 1)", None),
        ("yield 1\n return 1, 2", None),
        ("def g():\n  return 1, 2, 3\n return 1, 2", "2"),
        ("return [1, 2]", None),
    ],
)
def test_how_many_values_are_returned(tmp_path: Path, returns: str, gives: str | None):
    """Only where every return with a value says so, and all agree."""
    assert body(tmp_path, f"def f(x):\n {returns}").gives == gives


def test_metrics_and_keys(tmp_path: Path):
    """Of containers that are named for what they are; parts that are put in stand as `*`."""
    text = """
class T:
    def f(self, batch, prefix):
        self._metrics["train"]["kl"].append(batch["input_ids"])
        metrics = {"loss": 1, f"{prefix}rewards/chosen": 2}
        metrics.update({"more": 3})
        self.log({"lr": 1})
        other["not_a_metric"] = batch.get("labels")
        if "mask" in batch:
            return {"logits": 1}
"""
    found = body(tmp_path, text, "T.f")
    assert list(found.metrics) == ["kl", "loss", "*rewards/chosen", "more", "lr"]
    assert list(found.keys) == ["input_ids", "labels", "mask", "logits"]


def test_accepted_values(tmp_path: Path):
    """Compared with, looked for among, looked up in a table, matched."""
    text = """
def f(args, mode):
    if args.loss_type == "sigmoid" or args.loss_type in ["hinge", "ipo"]: ...
    {"mean": 1, "sum": 2}[args.reduction]
    match mode:
        case "train" | "eval": ...
        case "test": ...
    if "x" == mode: ...
"""
    found = body(tmp_path, text).accepted
    assert {name: list(values) for name, values in found.items()} == {
        "loss_type": ["sigmoid", "hinge", "ipo"],
        "reduction": ["mean", "sum"],
        "mode": ["train", "eval", "test"],
    }


def test_deprecations(tmp_path: Path):
    """How they are told and under which test; a warning about something else is none."""
    text = """
def f(old=None):
    if old is not None:
        warnings.warn("`old` is deprecated and will be removed in version 1.4.", FutureWarning)
    warnings.warn("This takes long.")
    logger.warning("`x` is deprecated")
"""
    said = [warned for warned in body(tmp_path, text).warned if warned.deprecates]
    told = [(warned.via, warned.guard, announced(warned.message)) for warned in said]
    assert told == [("FutureWarning", "old is not None", "1.4"), ("log", "", None)]


@pytest.mark.parametrize(
    ("message", "version"),
    [
        ("deprecated since 0.9 and will be removed in v1.2.0", "1.2.0"),
        ("deprecated. It will be removed in TRL 2.0.", "2.0"),
        ("deprecated and will be removed soon", None),
    ],
)
def test_the_announced_version_is_the_one_that_removes(message: str, version: str | None):
    """Not the one since when it is deprecated."""
    assert announced(message) == version


@given(st.text(alphabet="ab.[]{}()'\"\n :=if,*f", max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory, text: str):
    """No text crashes the reading of bodies."""
    tmp_path = tmp_path_factory.mktemp("bodies")
    settings = trees.project(tmp_path, {"lib.py": "def f(a):\n" + "".join(f"  {line}\n" for line in text.split("\n"))})
    Bodies(Tree(settings)).at("lib", "f")
