"""Conditions on the package's version and names, however they are written."""

from pathlib import Path

import pytest

from sternpost.guard.scan.evaluate import VERSION, Evaluation

from .projects import hits, library, project, scan

OLD = "__version__ = '1.0'\ndef f(a, b=1): ...\n"
NEW = "__version__ = '2.0'\ndef f(a): ...\ndef g(): ...\n"
CALL = "lib.f(1, b=2)"
SPLIT = "V = tuple(int(part) for part in lib.__version__.split('.'))\n"
TRIED = "try:\n    from lib import g\n    HAS = True\nexcept ImportError:\n    HAS = False\n"

BRANCHES = {
    "first part": f"{SPLIT}if V[0] < 2:\n    {CALL}",
    "else": f"{SPLIT}if V[0] >= 2:\n    pass\nelse:\n    {CALL}",
    "int": f"V = lib.__version__.split('.')\nif int(V[0]) < 2:\n    {CALL}",
    "major": f"from packaging import version\nif version.parse(lib.__version__).major < 2:\n    {CALL}",
    "release": f"from packaging.version import Version\nif Version(lib.__version__).release[:2] < (2, 0):\n    {CALL}",
    "beginning": f"if lib.__version__.startswith('1.'):\n    {CALL}",
    "tuple": f"if tuple(map(int, lib.__version__.split('.')[:2])) < (2, 0):\n    {CALL}",
    "part of a tuple": f"if tuple(map(int, lib.__version__.split('.')[:1])) == (1,):\n    {CALL}",
    "installed": f"from importlib.metadata import version\nif int(version('lib').split('.')[0]) < 2:\n    {CALL}",
    "either": f"from x import V\nif V(lib.__version__) < V('2') or lib.__version__.startswith('1'):\n    {CALL}",
    "constant": f"MIN = '2.0'\nfrom x import Version\nif Version(lib.__version__) < Version(MIN):\n    {CALL}",
    "function": f"def old():\n    return lib.__version__.startswith('1')\nif old():\n    {CALL}",
    "flag": f"if lib.__version__.startswith('1'):\n    OLD = True\nelse:\n    OLD = False\nif OLD:\n    {CALL}",
    "flag with a default": f"OLD = False\nif lib.__version__ < '2':\n    OLD = True\nif OLD:\n    {CALL}",
    "expression": f"V2 = lib.__version__[0] == '2'\nx = None if V2 else {CALL}",
    "lost name": f"if not hasattr(lib, 'g'):\n    {CALL}",
    "name that is there": f"if hasattr(lib, 'g'):\n    pass\nelse:\n    {CALL}",
    "import": f"{TRIED}if not HAS:\n    {CALL}",
    "import, else": f"{TRIED}if HAS:\n    g()\nelse:\n    {CALL}",
    "import, early return": f"{TRIED}def mine():\n    if HAS:\n        return g()\n    return {CALL}",
    "None instead": f"try:\n    from lib import g\nexcept ImportError:\n    g = None\nif g is None:\n    {CALL}",
    "skipped": f"@pytest.mark.skipif(lib.__version__ >= '2', reason='')\ndef test_it():\n    {CALL}",
    "skipped with its class": (
        f"@unittest.skipUnless(lib.__version__ < '2', '')\nclass A:\n    def test_it(self):\n        {CALL}"
    ),
    "skipped inside": f"def test_it():\n    if lib.__version__ >= '2':\n        pytest.skip('new')\n    {CALL}",
    "asserted": f"def old():\n    assert lib.__version__ < '2'\n    {CALL}",
    "argument": f"import inspect\nif 'b' in inspect.signature(lib.f).parameters:\n    {CALL}",
    "argument by a name": (
        "import inspect\nP = inspect.signature(lib.f).parameters\n"
        f"def mine():\n    old = 'b' in P\n    if old:\n        {CALL}"
    ),
}
LIVE = (
    ("< 2", "< 3"), (">= 2", ">= 3"), ("< (2", "< (3"), ("== (1", "== (2"), ("V('2')", "V('3')"), ("'2.0'", "'3.0'"),
    ("< '2'", "< '3'"), (">= '2'", ">= '3'"), ("== '2'", "== '3'"), ("('1", "('2"), ("'g'", "'h'"),
    ("import g", "import h as g"),
    ("        return g()", "        return 0"), ("    g()", "    0"), ("'b' in", "'a' in"),
)  # fmt: skip
"""What makes of each branch one that the new version takes."""


@pytest.mark.parametrize("how", sorted(BRANCHES))
def test_a_branch_that_the_new_version_does_not_take_is_left_alone(how: str, tmp_path: Path):
    """The same branch is judged where the new version takes it."""
    assert not hits(tmp_path / "dead", f"import lib\n{BRANCHES[how]}\n", OLD, NEW)
    live = BRANCHES[how]
    for old, new in LIVE:
        live = live.replace(old, new)
    found = [hit for hit in hits(tmp_path / "live", f"import lib\n{live}\n", OLD, NEW) if hit.rule == "argument-gone"]
    assert [hit.level for hit in found] == ["error"]


def test_conditions_from_another_module_of_the_project(tmp_path: Path):
    """Names there mean what they mean there."""
    compat = (
        "from lib import __version__ as VER\nMINOR = tuple(int(x) for x in VER.split('.')[:2])\nV2 = MINOR[0] == 2\n"
    )
    use = f"import lib\nfrom . import compat\nfrom .compat import V2, MINOR\nif V2:\n    pass\nelse:\n    {CALL}\n"
    use += f"if MINOR[0] < 2:\n    {CALL}\nif not compat.V2:\n    {CALL}\n"
    code = {"app/__init__.py": "", "app/use.py": use, "app/compat.py": compat}
    assert not hits(tmp_path / "dead", code, OLD, NEW)
    code["app/compat.py"] = compat.replace("== 2", "== 3")
    assert [hit.at for hit in hits(tmp_path / "live", code, OLD, NEW)] == [7, 11]


@pytest.mark.parametrize(
    "code",
    [
        f"if magic(lib.__version__):\n    {CALL}",
        f"with pytest.raises(TypeError):\n    {CALL}",
        f"@pytest.mark.xfail\ndef test_it():\n    {CALL}",
    ],
)
def test_what_may_never_be_reached_only_warns(code: str, tmp_path: Path):
    """A condition on the version that nobody can follow; a test that expects the error."""
    (hit,) = hits(tmp_path, f"import lib, pytest\n{code}\n", OLD, NEW)
    assert (hit.rule, hit.level) == ("argument-gone", "warning")


UNCLEAR = ("x", f"{VERSION}.upper()", f"{VERSION}[9]", "9**9**9", "'a' * 10**9", f"int({VERSION})", "()()", "[")


@pytest.mark.parametrize("text", UNCLEAR)
def test_what_cannot_be_computed_is_unclear(text: str):
    """Nothing raises, nothing runs for long."""
    assert Evaluation("1.2.3", bool, lambda path, name: None).holds(text) is None


def test_one_part_decides_where_the_other_is_unclear():
    """As far as it does."""
    asked = Evaluation("1.2.3", bool, lambda path, name: None)
    assert asked.holds(f"x or {VERSION} < '2'") is True
    assert asked.holds(f"x and {VERSION} > '2'") is False
    assert asked.holds(f"x or {VERSION} > '2'") is None


def test_a_version_that_is_not_known_only_warns(tmp_path: Path):
    """Behind a comparison of it nobody can tell which branch is taken."""
    code = f"import lib\nfrom x import Version\nif Version(lib.__version__) < Version('2'):\n    {CALL}\n"
    new = library(tmp_path / "new", NEW, "")
    new.version = None
    found = scan(project(tmp_path / "app", code), library(tmp_path / "old", OLD, "1.0"), new, "app").hits
    assert [(hit.rule, hit.level) for hit in found] == [("argument-gone", "warning")]
