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
