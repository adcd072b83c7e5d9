"""Bases in other libraries: what is inherited from them is not lost, and what overrides them changes a default."""

from pathlib import Path

import transformers

from sternpost.guard.foreign import ancestors, foreign_base, inherited, known_bases

from . import trees

HEAD = "from dataclasses import dataclass\nfrom transformers import Trainer, TrainingArguments\n__all__ = ['C', 'T']\n"
CHANGED = "field-default-changed: The default of option"
OF_BASE = "is the default of `transformers.TrainingArguments`."


def sources(fields: str = "    pass", methods: str = "    pass") -> dict[str, str]:
    return {"lib.py": f"{HEAD}@dataclass\nclass C(TrainingArguments):\n{fields}\nclass T(Trainer):\n{methods}\n"}


def told(tmp_path: Path, old: dict[str, str], new: dict[str, str]) -> list[str]:
    return [f"{f.rule}: {f.says}" for f in trees.checked(tmp_path, old, new).findings]


def test_overriding_an_inherited_option_changes_its_default(tmp_path: Path):
    """It is told which default was inherited, and from where."""
    assert told(tmp_path, sources(), sources("    learning_rate: float = 1e-6")) == [
        f"{CHANGED} `learning_rate` of `lib.C` changed: 5e-05 -> 1e-06. Inherited before: 5e-05 {OF_BASE}"
    ]


def test_no_longer_overriding_one_changes_it_back(tmp_path: Path):
    """And nothing is lost."""
    assert told(tmp_path, sources("    logging_steps: float = 10"), sources()) == [
        f"{CHANGED} `logging_steps` of `lib.C` changed: 10 -> 500. Inherited now: 500 {OF_BASE}"
    ]


def test_declaring_an_inherited_option_anew_is_nothing(tmp_path: Path):
    """With the same default, and in either direction."""
    anew = sources("    learning_rate: float = 5e-5\n    seed: int = 42")
    assert told(tmp_path / "a", sources(), anew) == []
    assert told(tmp_path / "b", anew, sources()) == []


def test_methods_that_are_still_inherited_are_not_lost(tmp_path: Path):
    """Of a base in another library, or of one that the class only has now."""
    old = sources(methods="    def log(self, logs): ...\n    def own(self): ...")
    assert told(tmp_path, old, sources()) == [
        "method-removed: `lib.T` no longer defines `own`.",
    ]


def test_the_same_change_of_several_classes_is_told_once(tmp_path: Path):
    """It is one decision; the others are listed."""
    two = "@dataclass\nclass D(TrainingArguments):\n    {}\n"
    old = {"lib.py": HEAD + two.format("pass") + two.replace("D", "E").format("pass")}
    new = {"lib.py": HEAD + two.format("bf16: bool = True") + two.replace("D", "E").format("bf16: bool = True")}
    for text in (old, new):
        text["lib.py"] = text["lib.py"].replace("['C', 'T']", "['D', 'E']")
    (finding,) = trees.checked(tmp_path, old, new).findings
    assert (finding.subject, finding.also) == ("lib.D.bf16", ("lib.E.bf16",))


def test_the_pinned_facts_are_those_of_transformers():
    """Options and public methods of the installed version exist there, with few exceptions of age."""
    known = {fact.name for fact in known_bases().owned("field", "transformers.TrainingArguments")}
    real = set(transformers.TrainingArguments.__dataclass_fields__)
    assert len(known & real) >= 0.95 * len(real - {"_n_gpu"})
    methods = {f.name for f in known_bases().owned("method", "transformers.Trainer") if f.get("tier") is None}
    assert {"train", "evaluate", "compute_loss", "log", "get_train_dataloader"} <= methods


def test_a_base_is_known_from_any_module(tmp_path: Path):
    """Importers take it from where they like."""
    assert foreign_base("transformers.training_args.TrainingArguments") == "transformers.TrainingArguments"
    assert foreign_base("elsewhere.TrainingArguments") is None
    snapshot = trees.module(tmp_path, sources()["lib.py"])
    assert ancestors(snapshot, "lib.T") == ["transformers.Trainer"]
    fact = inherited(snapshot, "lib.C", "field", "learning_rate")
    assert fact is not None
    assert fact.get("default") == "5e-05"
