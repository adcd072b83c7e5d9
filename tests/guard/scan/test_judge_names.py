"""Names, strings, patches and reflection between two versions."""

from pathlib import Path

import pytest

from .projects import BASE, changed, hits, rules

GONE = {
    "from import": "from lib import pad",
    "import of a module": "import lib\nlib.pad(1)",
    "alias": "import lib as l\nx = l.pad",
    "inside a function": "def f():\n    from lib import pad",
    "getattr": "import lib\nx = getattr(lib, 'pad')",
    "under another name": "from lib import pad as mine",
}


@pytest.mark.parametrize("how", sorted(GONE))
def test_a_lost_name_is_told_where_it_is_used(how: str, tmp_path: Path):
    """However it is reached."""
    found = hits(tmp_path, GONE[how], BASE, changed("def pad(", "def pad_all("))
    assert {(hit.rule, hit.level, hit.symbol) for hit in found} == {("name-gone", "error", "lib.pad")}
    assert found[0].old_at is not None


def test_a_moved_name_is_told_with_its_new_path(tmp_path: Path):
    """Lazy exports are followed on both sides."""
    init = "_import_structure = {'a': ['f']}\nimport sys\nsys.modules[__name__] = _LazyModule(_import_structure)\n"
    old = {"lib/__init__.py": init, "lib/a.py": "def f(): ...", "lib/b.py": ""}
    new = {"lib/__init__.py": init.replace("'a'", "'c'"), "lib/b.py": "def f(): ...", "lib/c.py": ""}
    (hit,) = hits(tmp_path, "from lib import f", old, new)
    assert (hit.symbol, hit.fix) == ("lib.f", "Use `lib.b.f`.")


def test_a_lost_module_is_one_cause(tmp_path: Path):
    """All names that went with it are lines of the same cause."""
    old = {"lib/__init__.py": "", "lib/sub.py": "A = 1\nB = 2"}
    found = hits(tmp_path, "from lib.sub import A\nfrom lib.sub import B", old, {"lib/__init__.py": ""})
    assert {hit.cause for hit in found} == {"name-gone lib.sub"}
    assert [hit.at for hit in found] == [1, 2]


def test_an_import_with_an_answer_of_its_own_is_no_break(tmp_path: Path):
    """`try` the one, `except ImportError` the other: fine as long as one of them is there."""
    code = "try:\n    from lib import pad\nexcept ImportError:\n    from lib import pad_all as pad\n"
    assert not hits(tmp_path, code, BASE, changed("def pad(", "def pad_all("))


def test_a_caught_import_only_warns(tmp_path: Path):
    """A feature goes off silently; where the handler raises again it is an error."""
    code = "try:\n    from lib import pad\nexcept ImportError:\n    {}\n"
    (hit,) = hits(tmp_path / "a", code.format("pad = None"), BASE, changed("def pad(", "def other("))
    assert hit.level == "warning"
    (hit,) = hits(tmp_path / "b", code.format("raise"), BASE, changed("def pad(", "def other("))
    assert hit.level == "error"


GATES = {
    "comparison": "if Version(lib.__version__) < Version('2.0'):\n    from lib import pad",
    "mirrored": "if Version('2.0') > Version(lib.__version__):\n    from lib import pad",
    "named": "OLD = Version(version('lib')) < Version('2.0')\nif OLD:\n    from lib import pad",
    "negated": "NEW = Version(version('lib')) >= Version('2.0')\nif not NEW:\n    from lib import pad",
    "else": "if Version(lib.__version__) >= Version('2.0'):\n    pass\nelse:\n    from lib import pad",
    "early return": "def f():\n    if '2.0' <= lib.__version__:\n        return\n    from lib import pad",
    "requirement": "if require_version('lib<2.0'):\n    from lib import pad",
}


@pytest.mark.parametrize("how", sorted(GATES))
def test_a_use_for_old_versions_is_no_break(how: str, tmp_path: Path):
    """Branches that only older versions take are left alone; the other branch is not."""
    new = changed("def pad(", "def other(")
    assert not hits(tmp_path / "a", f"import lib\n{GATES[how]}", BASE, new)
    turned = GATES[how].replace("2.0", "3.0")
    assert rules(hits(tmp_path / "c", f"import lib\n{turned}", BASE, new)) == ["name-gone"]


def test_paths_in_strings(tmp_path: Path):
    """A string that is a path is an error, one that mentions it a warning; a docstring is neither."""
    code = '"""lib.pad"""\nTARGET = "lib.pad"\nHELP = "calls lib.pad for you"\n'
    found = hits(tmp_path, code, BASE, changed("def pad(", "def other("))
    assert [(hit.rule, hit.level, hit.at) for hit in found] == [
        ("string-path-gone", "error", 2),
        ("string-path-gone", "warning", 3),
    ]


def test_patterns_and_listings_tell_what_they_no_longer_find(tmp_path: Path):
    """f-strings that make up module names, and `dir()`."""
    old = {"lib/__init__.py": "", "lib/a_trainer.py": "", "lib/b_trainer.py": ""}
    new = {"lib/__init__.py": "", "lib/a_trainer.py": ""}
    code = "import lib\nfor n in 'ab':\n    __import__(f'lib.{n}_trainer')\nx = dir(lib)"
    found = hits(tmp_path, code, old, new)
    assert rules(found) == ["names-gone", "names-gone"]
    assert "`lib.b_trainer`" in found[0].says


def test_options_of_configurations_that_are_found_by_pattern_or_by_their_fields(tmp_path: Path):
    """Whoever makes up the names of modules, or lists fields, is told which options are gone."""
    text = "from dataclasses import dataclass\n@dataclass\nclass A:\n    old_one: int = 1\n    other: int = 1\n"
    old = {"lib/__init__.py": "", "lib/a_config.py": text}
    new = {"lib/__init__.py": "", "lib/a_config.py": text.replace("    old_one: int = 1\n", "")}
    (hit,) = hits(tmp_path / "pattern", "import lib\nx = eval(f'lib.{y}_config')", old, new)
    assert (hit.rule, hit.level) == ("option-gone", "note")
    assert "`old_one` of `A`" in hit.says
    code = "import dataclasses\nfrom lib.a_config import A\ndataclasses.fields(A)"
    assert rules(hits(tmp_path / "fields", code, old, new)) == ["names-gone"]


def test_metrics_in_source_that_is_read(tmp_path: Path):
    """A project that opens the package's files for the names of metrics is told which are gone."""
    old = {"lib/__init__.py": "", "lib/a.py": "self._metrics[mode]['kl'] = 1\nself._metrics[mode]['length'] = 1\n"}
    new = {"lib/__init__.py": "", "lib/a.py": "self._metrics[mode]['kl'] = 1\n"}
    (hit,) = hits(tmp_path, "import inspect, lib\npath = inspect.getfile(lib)", old, new)
    assert (hit.rule, hit.level, hit.says) == (
        "key-gone",
        "note",
        "The source that is read here no longer logs `length`.",
    )


def test_patches(tmp_path: Path):
    """Without effect, hiding what is new, and lacking what the package now passes."""
    code = "import lib\nlib.pad = lambda x: x\n"
    assert rules(hits(tmp_path / "dead", code, BASE, changed("def pad(", "def other("))) == ["patch-dead"]
    old, new = BASE, f"{BASE}\ndef fresh(): ...\n"
    assert rules(hits(tmp_path / "new", "import lib\nlib.fresh = None", old, new)) == ["patch-new"]
    code = "import lib\ndef mine(x, value=0):\n    return x\nlib.pad = mine\n"
    caller = f"{BASE}\ndef use():\n    pad(1, value=2)\n"
    calls = caller.replace("pad(1, value=2)", "pad(1, rows=2)").replace('side="left"', 'side="left", rows=1')
    found = hits(tmp_path / "argument", code, caller, calls)
    assert ("patch-argument", "error") in {(hit.rule, hit.level) for hit in found}


def test_reflection_on_a_wrapper(tmp_path: Path):
    """`inspect.signature` of a class that became a shim shows nothing."""
    head = f"{BASE}\nclass Moved(Trainer):\n"
    shim = f"{head}    def __init__(self, *args, **kwargs):\n        super().__init__(*args, **kwargs)\n"
    plain = f"{head}    def __init__(self, model, args=None): ...\n"
    code = "import inspect\nfrom lib import Moved\ninspect.signature(Moved)\n"
    assert "reflection-hollow" in rules(hits(tmp_path, code, plain, shim))


def test_deprecations_are_told(tmp_path: Path):
    """When the thing that is used starts to warn."""
    head = 'def pad(x, value=0, side="left"):\n'
    new = changed(head, f'{head}    warnings.warn("use other", FutureWarning)\n')
    assert rules(hits(tmp_path, "from lib import pad", BASE, new)) == ["deprecated"]


def test_names_that_a_module_warns_of(tmp_path: Path):
    """A `__getattr__` that gives what was a plain name, with a warning."""
    lazy = """
import warnings
def __getattr__(name):
    if name == "old":
        warnings.warn("`old` is deprecated", DeprecationWarning, stacklevel=2)
        return 1
    raise AttributeError(name)
"""
    found = hits(tmp_path, "import lib\nprint(lib.old, lib.other)\n", "old = 1\nother = 2\n", f"other = 2\n{lazy}")
    assert [(hit.rule, hit.symbol) for hit in found] == [("deprecated", "lib.old")]


def test_a_member_that_no_foreign_base_has(tmp_path: Path):
    """A class with a known base in another library lost a method of its own: reading and replacing it say so."""
    head = "from transformers import Trainer\n"
    old = f"{head}class T(Trainer):\n    def _own_step(self):\n        return 1\n"
    code = "from lib import T\nprint(T._own_step, T.train)\nT._own_step = None\n"
    found = hits(tmp_path, code, old, f"{head}class T(Trainer):\n    pass\n")
    assert [(hit.rule, hit.at) for hit in found] == [("name-gone", 2), ("patch-dead", 3)]


def test_elements_of_annotated_containers(tmp_path: Path):
    """A loop or comprehension over a list of instances."""
    code = """
from typing import List, Union
from lib import Trainer
def f(some: Union[List[Trainer], None], more: "list[Trainer]"):
    for one in some:
        one.step()
    return [two.step() for two in some if two.tag]
"""
    new = changed("def step(self)", "def walk(self)").replace('tag = "t"', 'label = "t"')
    found = hits(tmp_path, code, BASE, new)
    assert [(hit.rule, hit.at, hit.symbol) for hit in found] == [
        ("member-gone", 6, "lib.Trainer.step"),
        ("member-gone", 7, "lib.Trainer.step"),
        ("member-gone", 7, "lib.Trainer.tag"),
    ]
