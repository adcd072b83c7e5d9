"""Members of classes whose bases are in the standard library, or in another one."""

from pathlib import Path

import pytest

from sternpost.guard.scan.standard import standard_members

from .projects import hits

ENUM = "from enum import Enum\nclass E(Enum):\n    A = 'a'\n    B = 'b'\n"
ERROR = "class E(Exception):\n    B = 1\n    @classmethod\n    def b(cls): pass\n"
MODULE = "import torch\nclass E(torch.nn.Module):\n    B = 1\n"
MIXED = "import abc, typing\nclass E(abc.ABC, typing.Protocol):\n    B = 1\n"
FLAGS = "from enum import StrEnum, auto\nclass E(StrEnum):\n    A = auto()\n    B = auto()\n"
MISSING = f"{ENUM}    @classmethod\n    def _missing_(cls, value): return cls.A\n"


def without(text: str) -> str:
    return text.replace("    B = 'b'\n", "").replace("    B =", "    Z =")


LOST = {
    "enum": (ENUM, "lib.E.B", "error"),
    "enum by name": (ENUM, "lib.E['B']", "error"),
    "enum by value": (ENUM, "lib.E('b')", "error"),
    "enum by value, with an answer": (MISSING, "lib.E('b')", "warning"),
    "flags": (FLAGS, "lib.E.B", "error"),
    "exception": (ERROR, "lib.E.B", "error"),
    "abstract": (MIXED, "lib.E.B", "error"),
    "another library": (MODULE, "lib.E.B", "warning"),
    "an instance of another library": (MODULE, "lib.E().B", "warning"),
    "an instance with an answer": (f"{ERROR}    def __getattr__(self, name): pass\n", "lib.E().B", "warning"),
    "an instance": (ERROR, "lib.E().B", "error"),
}


@pytest.mark.parametrize("what", LOST)
def test_what_the_class_itself_defined_is_lost(what: str, tmp_path: Path):
    """Certain where all bases are of the standard library, or known otherwise."""
    old, code, level = LOST[what]
    found = hits(tmp_path, f"import lib\n{code}\n", old, without(old))
    assert [(hit.rule in ("name-gone", "member-gone"), hit.level) for hit in found] == [(True, level)]


QUIET = {
    "a base has it": (
        "class E(dict):\n    def keys(self): pass\n",
        "class E(dict):\n    pass\n",
        "lib.E.keys; lib.E().keys()",
    ),
    "the metaclass has it": (ERROR.replace("B", "mro"), ERROR.replace("    B = 1\n", ""), "lib.E.mro"),
    "it never had it": (ENUM, ENUM, "lib.E.C; lib.E['C']; lib.E('c')"),
    "another value, which is made": (FLAGS, without(FLAGS), "lib.E('b')"),
    "no enum": (ERROR, without(ERROR), "lib.E['B']; lib.E('B')"),
    "what a base sets": (
        "import threading\nclass E(threading.Thread):\n    daemon = True\n",
        "import threading\nclass E(threading.Thread):\n    pass\n",
        "lib.E().daemon",
    ),
}


@pytest.mark.parametrize("why", QUIET)
def test_nothing_is_said_where(why: str, tmp_path: Path):
    """Something else provides it, or nobody can tell."""
    old, new, code = QUIET[why]
    assert [hit.rule for hit in hits(tmp_path, f"import lib\n{code}\n", old, new)] == []


def test_members_of_the_standard_library():
    """By its own classes; nothing is imported for a question."""
    assert {"args", "with_traceback"} <= (standard_members("Exception") or set())
    assert {"name", "value", "__members__"} <= (standard_members("enum.Enum") or set())
    assert {"_asdict", "count"} <= (standard_members("typing.NamedTuple") or set())
    assert standard_members("antigravity.X") is standard_members("torch.nn.Module") is standard_members("print") is None
