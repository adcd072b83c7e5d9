"""What keeps a hit from being an error."""

from pathlib import Path

import pytest

from .projects import hits

OLD = "class A:\n    def f(self): ...\n"
MAKING = {
    "by name": "class A:\n    def __getattr__(self, name): return 1\n",
    "by a base": "class B:\n    def __getattr__(self, name): return 1\nclass A(B): ...\n",
    "by a metaclass": "class M(type):\n    def __getattr__(self, name): return 1\nclass A(metaclass=M): ...\n",
    "from outside": "class A: ...\nfor name in NAMES:\n    setattr(A, name, make(name))\n",
    "in its body": "class A:\n    for name in NAMES:\n        locals()[name] = make(name)\n",
}
USES = ("A.f", "A().f()", "class B(A):\n    def m(self):\n        return self.f()")


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("how", sorted(MAKING))
def test_members_that_are_made_at_run_time_are_not_said_to_be_gone(how: str, use: str, tmp_path: Path):
    """A class that began to make its members may have this one still: that is a warning. A plain class has not."""
    code = f"from lib import A\n{use}\n"
    found = hits(tmp_path / "made", code, OLD, MAKING[how])
    assert {hit.level for hit in found} == {"warning"}
    plain = "class B: ...\nclass A(B): ...\nsetattr(A, 'g', 1)\n"
    assert {hit.level for hit in hits(tmp_path / "plain", code, OLD, plain)} == {"error"}


WRAPPER = "def wrap(f):\n    def inner(*args, **kwargs):\n        return f(*args)\n    return inner\n"
FACTORY = f"def made(x):\n    {WRAPPER.strip().replace(chr(10), chr(10) + '    ')}\n    return wrap\n"
WRAPPED = {
    "a decorator": f"{WRAPPER}@wrap\ndef f(a): ...\n",
    "one that is called": f"{FACTORY}@made(1)\ndef f(a): ...\n",
    "by hand": f"{WRAPPER}def f(a): ...\nf = wrap(f)\n",
}


@pytest.mark.parametrize("how", sorted(WRAPPED))
def test_a_wrapper_that_is_new_may_take_other_arguments(how: str, tmp_path: Path):
    """Only a warning; where both versions have it, it takes what it took."""
    code = "import lib\nlib.f(1, b=2)\n"
    (hit,) = hits(tmp_path / "new", code, "def f(a, b=1): ...\n", WRAPPED[how])
    assert (hit.rule, hit.level) == ("argument-gone", "warning")
    (hit,) = hits(tmp_path / "kept", code, WRAPPED[how].replace("f(a):", "f(a, b=1):"), WRAPPED[how])
    assert (hit.rule, hit.level) == ("argument-gone", "error")
    plain = f"{WRAPPER}@mark\ndef f(a): ...\ndef mark(f):\n    return f\n"
    (hit,) = hits(tmp_path / "plain", code, "def f(a, b=1): ...\n", plain)
    assert (hit.rule, hit.level) == ("argument-gone", "error")


SENTINELS = ("_UNSET = object()\n", "class Unset: ...\n_UNSET = Unset()\n")


@pytest.mark.parametrize("head", SENTINELS)
@pytest.mark.parametrize("text", ["def f(a, b={}): ...\n", "class f:\n    def __init__(self, a, b={}): ...\n"])
def test_a_default_that_stands_for_no_value(text: str, head: str, tmp_path: Path):
    """A note; another value is a warning."""
    code = "import lib\nlib.f(1)\n"
    (hit,) = hits(tmp_path / "object", code, text.format("None"), head + text.format("_UNSET"))
    assert (hit.rule, hit.level) == ("default-shifted", "note")
    (hit,) = hits(tmp_path / "value", code, text.format("None"), "_SIZE = 3\n" + text.format("_SIZE"))
    assert (hit.rule, hit.level) == ("default-shifted", "warning")
