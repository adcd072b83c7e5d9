"""From source to facts: what is public, and what the guard knows about it."""

import os
import subprocess
import sys
from pathlib import Path

from sternpost.guard.extract import extract

from . import trees

ROOT = Path(__file__).parents[2]


def facts(tmp_path: Path, files: dict[str, str] | str) -> list[str]:
    settings = trees.project(tmp_path, {"lib.py": files} if isinstance(files, str) else files)
    snapshot = extract(settings)
    assert snapshot.problems == ()
    return trees.lines(snapshot)


def test_names_of_all_are_public_and_no_others(tmp_path: Path):
    """Also when it is put together from parts, as long as the parts are literal."""
    files = {
        "lib/__init__.py": "from . import a\nfrom .a import *\nfrom .a import f\n"
        "MORE = ['g']\n__all__ = ['f', *a.__all__] + MORE\n"
        "__all__ += ['h']\ndef g(): ...\ndef h(): ...\ndef other(): ...\n",
        "lib/a.py": "__all__ = ['k']\ndef f(): ...\ndef k(): ...",
    }
    assert [line.split()[:2] for line in facts(tmp_path, files)] == [
        ["alias", "lib.a.k"],
        ["function", "lib.f"],
        ["function", "lib.g"],
        ["function", "lib.h"],
        ["function", "lib.k"],
        ["module", "lib"],
        ["module", "lib.a"],
    ]


def test_lazy_facades_are_read_through(tmp_path: Path):
    """By the imports for type checkers, by a table of names, or by a table of modules."""
    body = "class T:\n    x = 1\ndef f(a): ...\n"
    forms = {
        "typing": "from typing import TYPE_CHECKING\n__all__ = ['T', 'f']\nif TYPE_CHECKING:\n    from .a import T, f\n"
        "def __getattr__(name): ...\n",
        "names": "__all__ = ['T', 'f']\n_HOMES = {'T': 'a', 'f': '.a'}\ndef __getattr__(name): ...\n",
        "absolute": "__all__ = ['T', 'f']\n_HOMES = {'T': 'lib.a', 'f': 'lib.a:f'}\ndef __getattr__(name): ...\n",
        "modules": "_import_structure = {'a': ['T', 'f']}\nsys.modules[__name__] = make(_import_structure)\n",
    }
    expected = ["class lib.T tier=stable", "function lib.f order=a tier=stable"]
    for name, facade in forms.items():
        found = facts(tmp_path / name, {"lib/__init__.py": facade, "lib/a.py": body})
        assert [line for line in found if line.split()[0] in ("class", "function", "name")] == expected, name


def test_what_is_added_to_a_lazy_table_is_public_too(tmp_path: Path):
    """By whatever statement; what is added under a test says which."""
    facade = """
_import_structure = {"a": ["T"]}
_import_structure["a"].append("f")
_import_structure["b"] = ["g"]
if has_rich():
    _import_structure["b"].extend(["h"])
try:
    if not has_torch(): raise ImportError
except ImportError: pass
else:
    _import_structure["b"] += ["k"]
"""
    body = "class T: ...\ndef f(): ...\ndef g(): ...\ndef h(): ...\ndef k(): ...\n"
    found = facts(tmp_path, {"lib/__init__.py": facade, "lib/a.py": body, "lib/b.py": body})
    assert [line for line in found if line.split()[1].count(".") == 1 and not line.startswith("module")] == [
        "class lib.T tier=stable",
        'function lib.f order="" tier=stable',
        'function lib.g order="" tier=stable',
        'function lib.h needs=has_rich() order="" tier=stable',
        'function lib.k needs=has_torch() order="" tier=stable',
    ]


def test_an_object_is_kept_under_its_shortest_path(tmp_path: Path):
    """The others are aliases of it, so that moving a definition between files is no change."""
    files = {
        "lib/__init__.py": "from .sub import A\n__all__ = ['A', 'Z']\nZ = A",
        "lib/sub/__init__.py": "from .deep import A\n__all__ = ['A']",
        "lib/sub/deep.py": "__all__ = ['A']\nclass A: ...",
    }
    assert [line for line in facts(tmp_path, files) if not line.startswith("module")] == [
        "alias lib.Z tier=stable to=lib.A",
        "alias lib.sub.A tier=stable to=lib.A",
        "alias lib.sub.deep.A tier=stable to=lib.A",
        "class lib.A tier=stable",
    ]


def test_names_from_elsewhere_and_names_that_are_nowhere(tmp_path: Path):
    """A re-export of another package is an alias; what cannot be found is only a name."""
    text = "from torch.nn import Module\n__all__ = ['Module', 'ghost']"
    assert facts(tmp_path, text) == [
        "alias lib.Module tier=stable to=torch.nn.Module",
        "module lib tier=stable",
        "name lib.ghost tier=stable",
    ]


def test_without_all_what_is_defined_openly_is_public(tmp_path: Path):
    """Imports are not, except where a package gathers names from its own modules."""
    files = {
        "lib/__init__.py": "import os\nfrom .a import f\nX = 1\n_y = 2\n",
        "lib/a.py": "from json import dumps\ndef f(): ...",
    }
    assert [line.split()[1] for line in facts(tmp_path, files) if not line.startswith("module")] == [
        "lib.a.f",
        "lib.X",
        "lib.f",
    ]


def test_signatures(tmp_path: Path):
    """Order, kind, default and type of every argument; `self` is not one."""
    text = """
__all__ = ["f", "C"]
class C:
    def __init__(self, model, args=None, *, seed: "int" = 0): ...
    @staticmethod
    def load(path): ...
    @classmethod
    def make(cls, size): ...
    @property
    def size(self) -> int: ...
    async def run(self): ...
    def __call__(self, rows): ...
    def __repr__(self): ...
    def _private(self): ...
def f(a, /, b=[1, 2], *rest: str, c, d=float("inf"), **options) -> "tuple[int, str]": ...
"""
    assert facts(tmp_path, text) == [
        "class lib.C order=model,args tier=stable",
        'function lib.f order=a,b returns="tuple[int, str]" tier=stable',
        "method lib.C __call__ order=rows",
        "method lib.C load binding=static order=path",
        "method lib.C make binding=class order=size",
        'method lib.C run async=yes order=""',
        "method lib.C size binding=property returns=int",
        "module lib tier=stable",
        "param lib.C args default=None",
        "param lib.C model",
        "param lib.C seed default=0 kind=keyword-only type=int",
        "param lib.C.__call__ rows",
        "param lib.C.load path",
        "param lib.C.make size",
        "param lib.f **options kind=kwargs",
        "param lib.f *rest kind=args type=str",
        "param lib.f a kind=positional-only",
        'param lib.f b default="[1, 2]"',
        "param lib.f c kind=keyword-only",
        "param lib.f d default=float('inf') kind=keyword-only",
    ]


def test_fields_of_dataclasses(tmp_path: Path):
    """Own and inherited, with resolved defaults; a base that is not public gives its fields to those that are."""
    text = """
import dataclasses as dc
from dataclasses import KW_ONLY, InitVar, field
from typing import ClassVar, Literal
from transformers import TrainingArguments
__all__ = ["Config", "Child"]
Side = Literal["left", "right"]
SIZES = {"small": 8}
class _Base(TrainingArguments): ...
@dc.dataclass
class _Config(_Base):
    rate: float = 1e-3
    _hidden: int = 0
    NAMES: ClassVar[tuple] = ("a",)
    table = SIZES
@dc.dataclass(kw_only=True)
class Config(_Config):
    rate: float = 2 / 1000
    side: Side = "left"
    betas: tuple[float, float] = (0.9, -0.5)
    loss: list[Side] | Side = field(default_factory=lambda: ["left"])
    extra: dict = field(default_factory=dict)
    size: int = dc.field(init=False, default=SIZES)
    must: "str"
@dc.dataclass
class Child(Config):
    beta: float = 0.1
"""
    found = facts(tmp_path, text)
    assert [line for line in found if "lib.Config" in line.split()[1]] == [
        "attribute lib.Config NAMES from=lib._Config type=tuple value=('a',)",
        "attribute lib.Config table from=lib._Config value=\"{'small': 8}\"",
        "base lib.Config transformers.TrainingArguments",
        "choice lib.Config.loss 'left'",
        "choice lib.Config.loss 'right'",
        "choice lib.Config.side 'left'",
        "choice lib.Config.side 'right'",
        "class lib.Config tier=stable",
        'field lib.Config betas default="(0.9, -0.5)" kind=keyword-only type="tuple[float, float]"',
        "field lib.Config extra default={} kind=keyword-only type=dict",
        "field lib.Config loss default=['left'] kind=keyword-only type=\"list[str] | str\"",
        "field lib.Config must kind=keyword-only type=str",
        "field lib.Config rate default=0.002 kind=keyword-only type=float",
        "field lib.Config side default='left' kind=keyword-only type=str",
        "field lib.Config size default=\"{'small': 8}\" init=no kind=keyword-only type=int",
    ]
    assert "base lib.Child lib.Config" in found
    assert "field lib.Child must from=lib.Config kind=keyword-only type=str" in found
    assert "field lib.Child beta default=0.1 type=float" in found
    assert "class lib.Child tier=stable" in found  # no order: the fields of TrainingArguments stand in front


def test_positional_fields_have_an_order(tmp_path: Path):
    """Of a dataclass whose bases are all known; an overridden field keeps its place, keyword-only ones have none."""
    text = """
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple
__all__ = ["A", "B", "M", "N"]
@dataclass
class A:
    x: int
    y: int = 1
@dataclass
class B(A):
    z: int = 2
    x: int = 0
    _: KW_ONLY
    w: int = 3
class N(NamedTuple):
    a: int
    b: int = 1
@dataclass
class M(CollatorMixin):
    a: int
"""
    found = facts(tmp_path, text)
    assert [line for line in found if line.startswith("class")] == [
        "class lib.A order=x,y tier=stable",
        "class lib.B order=x,y,z tier=stable",
        "class lib.M order=a tier=stable",
        "class lib.N gives=2 order=a,b tier=stable",
    ]
    assert "field lib.B w default=3 kind=keyword-only type=int" in found


def test_inherited_methods_are_members(tmp_path: Path):
    """Of public and of private bases inside the package; attributes set in `__init__` are not class attributes."""
    text = """
__all__ = ["A"]
class _B:
    tag = "b"
    def __init__(self, model):
        self.model = model
        self.count = 0
    def run(self, steps): ...
class A(_B):
    size = 3
"""
    assert facts(tmp_path, text)[:5] == [
        "attribute lib.A size value=3",
        "attribute lib.A tag from=lib._B value='b'",
        "class lib.A order=model tier=stable",
        "method lib.A run from=lib._B order=steps",
        "module lib tier=stable",
    ]


def test_rooms_state_their_contract(tmp_path: Path):
    """A package with a `contract.py` is public and stable whatever the settings say; hooks belong to its trainer."""
    files = {
        "pyproject.toml": trees.PYPROJECT + 'public = ["lib"]\n',
        "lib/__init__.py": "__all__ = []",
        "lib/models.py": "__all__ = ['not_public']\ndef not_public(): ...",
        "lib/sft/__init__.py": "from .trainer import Config, T\n__all__ = ['Config', 'T']",
        "lib/sft/trainer.py": "class Config: ...\nclass T(B):\n    def _step(self, x): ...\n    def _own(self): ...",
        "lib/sft/contract.py": "KEYS = ('input_ids',)\nROWS = {'text': ('text',)}\nOPTIONAL_COLUMNS = ('tools',)\n"
        "BATCH = {'input_ids': 'B S', 'packed': {'position_ids': '1 S'}}\nMETRICS = ('loss', 'rewards/margins')\n"
        "HOOKS = ('_step', 'log')\nCHECKPOINT = KEYS\n",
    }
    assert facts(tmp_path, files) == [
        "base lib.sft.T B",
        'batch lib.sft input_ids shape="B S"',
        "batch lib.sft packed",
        'batch lib.sft packed.position_ids shape="1 S"',
        "checkpoint lib.sft input_ids",
        "class lib.sft.Config tier=stable",
        "class lib.sft.T tier=stable",
        "column lib.sft text.text required=yes",
        "column lib.sft tools required=no",
        "hook lib.sft.T _step",
        "hook lib.sft.T log",
        "method lib.sft.T _step order=x",
        "metric lib.sft loss",
        "metric lib.sft rewards/margins",
        "module lib tier=stable",
        "module lib.sft room=yes tier=stable",
        "param lib.sft.T._step x",
        "row lib.sft text",
    ]


def test_a_contract_that_is_no_literal_is_a_problem(tmp_path: Path):
    """It is read, not run; the rest of the contract still counts."""
    files = {
        "lib/__init__.py": "",
        "lib/sft/__init__.py": "",
        "lib/sft/contract.py": "ROWS = make()\nMETRICS = ('loss',)",
    }
    snapshot = extract(trees.project(tmp_path, files))
    assert "metric lib.sft loss" in trees.lines(snapshot)
    assert [str(problem) for problem in snapshot.problems] == [
        "lib/sft/contract.py:1: `ROWS` of a contract must be a literal: it is read, not run."
    ]


def test_facts_know_where_they_come_from(tmp_path: Path):
    """File and line of the definition, relative to the project."""
    files = {
        "lib/__init__.py": "from .a import C\n__all__ = ['C']",
        "lib/a.py": "\n\nclass C:\n    def f(self, x): ...\n",
    }
    snapshot = extract(trees.project(tmp_path, files))
    where = {fact.path: str(fact.origin) for fact in snapshot.facts}
    assert where["lib.C"] == "lib/a.py:3"
    assert where["lib.C.f(x)"] == "lib/a.py:4"


def test_our_own_snapshot_does_not_depend_on_hashing():
    """Two processes that order their sets differently write the same bytes; neither imports torch or a trainer."""
    code = (
        "import sys; from sternpost.guard.cli import main; code = main(['snapshot', '--output', '-']);"
        "assert not {'torch', 'transformers', 'sternpost.sft'} & set(sys.modules); sys.exit(code)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
            text=True,
        )
        for seed in ("1", "2")
    ]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
    assert "field sternpost.SFTConfig max_length default=1024" in runs[0].stdout
