"""Facts that nobody promised: metrics, keys, accepted values, deprecations and commands, from bodies."""

from pathlib import Path

from sternpost.guard.extract import extract

from . import trees

CONFIG = """
from dataclasses import dataclass
@dataclass
class C:
    loss_type: str = "sigmoid"
    size: int = 1
    old: int | None = None
    def __post_init__(self):
        if self.old is not None:
            warnings.warn("`old` is deprecated and will be removed in version 1.5. Use `size`.", FutureWarning)
"""
TRAINER = """
from .config import C
def _mean(metrics): metrics["mean"] = 1
class T:
    def __init__(self, args: "C | None" = None): self.state = 1
    def compute_loss(self, inputs):
        if self.args.loss_type == "hinge": ...
        elif inputs["kind"] == "other": ...
        self._metrics["train"]["kl"].append(inputs["ids"])
    def _hidden(self): return 1, 2
"""


def facts(tmp_path: Path, internal: bool = True, files: dict[str, str] | None = None) -> list[str]:
    tree = {"lib/__init__.py": "", "lib/config.py": CONFIG, "lib/trainer.py": TRAINER} if files is None else files
    pyproject = trees.PYPROJECT + ("internal = true\n" if internal else "")
    return trees.lines(extract(trees.project(tmp_path, tree | {"pyproject.toml": pyproject})))


def kinds(lines: list[str], *wanted: str) -> list[str]:
    return [line for line in lines if line.split()[0] in wanted]


def test_metrics_and_keys(tmp_path: Path):
    """Metrics belong to the class, its bases and the functions beside it; keys to the module."""
    assert kinds(facts(tmp_path), "metric", "key") == [
        "key lib.trainer ids",
        "key lib.trainer kind",
        "metric lib.trainer.T kl seen=code",
        "metric lib.trainer.T mean seen=code",
    ]


def test_accepted_values_of_options(tmp_path: Path):
    """Of the configuration that the constructor is annotated with, and only of options that hold text."""
    assert kinds(facts(tmp_path), "choice") == ["choice lib.config.C.loss_type 'hinge' seen=code"]


def test_private_members_and_attributes_of_instances_are_internal(tmp_path: Path):
    """They are stated for those who override and read them."""
    found = facts(tmp_path)
    assert 'method lib.trainer.T _hidden gives=2 order="" tier=internal' in found
    assert "attribute lib.trainer.T state scope=instance tier=internal" in found
    assert "function lib.trainer._mean order=metrics tier=internal" in found
    assert "alias lib.trainer.C tier=internal to=lib.config.C" in found


def test_what_is_promised_is_all_that_is_stated_by_default(tmp_path: Path):
    """Deprecations are: with what ends when, how it is told and what to use."""
    found = facts(tmp_path, internal=False)
    assert not [line for line in found if "internal" in line or "seen=" in line or line.startswith("key")]
    assert kinds(found, "deprecation") == ["deprecation lib.config.C old until=1.5 use=size via=FutureWarning"]


def test_commands_and_their_options(tmp_path: Path):
    """Of argparse, where one function adds one command."""
    text = "def add(s):\n    p = s.add_parser('chat')\n    p.add_argument('--model', '-m')\n    p.add_argument('x')\n"
    assert kinds(facts(tmp_path, files={"lib/__init__.py": "", "lib/cli.py": text}), "command", "flag") == [
        "command lib chat seen=code",
        "flag lib:chat --model seen=code",
    ]


def test_names_that_only_a_decorator_accepts(tmp_path: Path):
    """Old names of arguments, with the new one and the end; a decorator that names an argument there is gives none."""
    text = """
from somewhere import deprecate_kwarg, deprecated_args, rename_arguments, register
class T:
    @deprecate_kwarg("tokenizer", "0.16.0", new_name="processing_class")
    def __init__(self, processing_class=None): ...
    @rename_arguments({"old": "new"})
    def f(self, new): ...
    @deprecated_args(version="1.0", deprecated=["x"])
    def g(self, x): ...
    @register("tokenizer", "x")
    def h(self, x): ...
"""
    found = facts(tmp_path, files={"lib/__init__.py": text})
    assert [line for line in found if "deprecated" in line and line.startswith("param")] == [
        "param lib.T tokenizer kind=deprecated to=processing_class until=0.16.0",
        "param lib.T.f old kind=deprecated to=new",
    ]


def test_a_due_deprecation_may_go(tmp_path: Path):
    """What was announced for the new version or an earlier one needs no major release; what was not does."""
    from sternpost.guard.diff import compare
    from sternpost.guard.findings import judge

    def snapshot(root: Path, fields: str):
        return extract(trees.project(root, {"lib.py": CONFIG.replace("    old: int | None = None\n", fields)}))

    old, new = snapshot(tmp_path / "a", "    old: int | None = None\n"), snapshot(tmp_path / "b", "")
    bumps = {v: [f.bump for f in judge(compare(old, new, v)) if f.rule == "field-removed"] for v in ("1.4.9", "1.5.0")}
    assert bumps == {"1.4.9": ["major"], "1.5.0": ["minor"]}


OPTIONS = """
from dataclasses import dataclass
from typing import Literal, get_args
from .losses import LOSSES, Mode
REDUCTIONS = ("mean", "sum")
@dataclass
class C:
    loss_type: str = "sigmoid"
    reduction: str = "mean"
    mode: str = "fast"
    kind: str = "a"
    _KINDS = {"a", "b"}
    def __post_init__(self):
        if self.loss_type not in LOSSES:
            raise ValueError(f"`loss_type` must be one of {sorted(LOSSES)}, got {self.loss_type!r}.")
        if self.reduction not in REDUCTIONS or self.mode not in get_args(Mode) or self.kind not in self._KINDS: ...
"""
LOSSES = """
from typing import Literal
Mode = Literal["fast", "slow"]
def nll(x): ...
LOSSES = {"nll": nll, "dft": lambda x: x}
"""


def test_tables_that_options_are_looked_up_in(tmp_path: Path):
    """Keys of dictionaries whose values are functions, sequences, sets, values of a `Literal`; also imported ones."""
    files = {"lib/__init__.py": "", "lib/config.py": OPTIONS, "lib/losses.py": LOSSES}
    told = (line.split()[1:3] for line in kinds(facts(tmp_path, files=files), "choice"))
    found = [words for words in told if words[0].startswith("lib.config")]
    assert found == [
        *(["lib.config.C.kind", "'a'"], ["lib.config.C.kind", "'b'"]),
        *(["lib.config.C.loss_type", "'dft'"], ["lib.config.C.loss_type", "'nll'"]),
        *(["lib.config.C.mode", "'fast'"], ["lib.config.C.mode", "'slow'"]),
        *(["lib.config.C.reduction", "'mean'"], ["lib.config.C.reduction", "'sum'"]),
    ]


def test_errors_and_dropped_rows(tmp_path: Path):
    """By the beginning of what they say; a lambda by its test. Other things that have a `filter` drop no rows."""
    text = """
class T:
    def prepare(self, dataset, table):
        if not dataset:
            raise ValueError(f"No rows in {dataset!r}: give some.")
        dataset = dataset.filter(keep, desc=f"Dropping long rows of {self.name}")
        table.filter(pattern)
        return dataset.filter(lambda row: row["n"] > 0)
"""
    assert kinds(facts(tmp_path, files={"lib/__init__.py": text}), "error", "filter") == [
        "error lib.T no-rows-in-give-some via=ValueError",
        "filter lib.T dropping-long-rows-of",
        "filter lib.T row-n-0",
    ]


def test_what_a_class_passes_to_its_methods(tmp_path: Path):
    """By the names of the arguments, wherever the call stands among the class and its bases."""
    text = """
class B:
    def go(self): self.step(1, 2)
    def step(self, a, b=0, *, c=0): ...
    def rest(self, **options): self.step(**options)
class T(B):
    def more(self): self.step(1, c=3); self.nowhere(1); other.step(d=1)
"""
    found = facts(tmp_path, files={"lib/__init__.py": text})
    called = {line.split()[1]: line for line in kinds(found, "method") if line.split()[2] == "step"}
    assert " called=**,a,b " in called["lib.B"]
    assert " called=**,a,b,c " in called["lib.T"]


DEPRECATED = """
import warnings
from .deprecation import deprecated
class T:
    def __init__(self, old=None):
        if old is not None:
            deprecated("T.old", since="0.2.0", remove_in="0.4.0", use="T.new")
    @deprecated(since="0.2.0", removal="0.5.0")
    def gone(self): ...
    @warnings.deprecated("Use `T` instead, removed in 1.0.0.")
    def late(self): ...
@deprecated(deprecated_in="0.1.0", removed_in="0.6.0", instead="T")
def f(): ...
deprecated(version="x")
"""


def test_helpers_that_are_told_when_something_goes(tmp_path: Path):
    """As a call, as a decorator, by the names that projects give to the versions, and as PEP 702 has it."""
    files = {"lib/__init__.py": DEPRECATED, "lib/deprecation.py": "def deprecated(what, **when): ...\n"}
    assert kinds(facts(tmp_path, internal=False, files=files), "deprecation") == [
        "deprecation lib.T old since=0.2.0 until=0.4.0 use=T.new via=FutureWarning",
        "deprecation lib.T.gone since=0.2.0 until=0.5.0 via=FutureWarning",
        "deprecation lib.T.late until=1.0.0 use=T via=FutureWarning",
        "deprecation lib.f since=0.1.0 until=0.6.0 use=T via=FutureWarning",
    ]
