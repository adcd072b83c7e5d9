"""Classes of the project, and what stands between them and the package's."""

from pathlib import Path

import pytest

from .projects import hits, rules, scanned

CLIENT = "class Client:\n    def __init__(self, *, base=None, proxies=None): ...\n"
BARE = "class Client:\n    def __init__(self, *, base=None): ...\n"
HANDED_ON = {
    "nothing of its own": "class C(Client): ...\n",
    "all": "class C(Client):\n    def __init__(self, *args, **kw): super().__init__(*args, **kw)\n",
    "keywords": "class C(Client):\n    def __init__(self, **kw): super().__init__(**kw)\n",
    "beside its own": "class C(Client):\n    def __init__(self, name=1, **kw): super().__init__(base=2, **kw)\n",
    "through two": "class B(Client):\n    def __init__(self, **kw): super().__init__(**kw)\nclass C(B): ...\n",
}


@pytest.mark.parametrize("how", HANDED_ON)
def test_constructors_that_hand_on_what_they_do_not_know(how: str, tmp_path: Path):
    """Their callers are hit by what the base no longer takes."""
    code = f"from lib import Client\n{HANDED_ON[how]}def f(p):\n    return C(base=1, proxies=p)\n"
    (hit,) = hits(tmp_path, code, CLIENT, BARE)
    assert (hit.rule, hit.symbol) == ("argument-gone", "lib.Client(proxies)")
    assert hit.at == code.count("\n")


@pytest.mark.parametrize(
    "own",
    [
        "def __init__(self, **kw): self.kw = kw",
        "def __init__(self, **kw): super().__init__(base=kw)",
        "def __init__(self, proxies=None, **kw): super().__init__(**kw)",
    ],
)
def test_constructors_that_keep_what_they_are_given(own: str, tmp_path: Path):
    """Nothing reaches the base, or not this."""
    code = f"from lib import Client\nclass C(Client):\n    {own}\ndef f(p):\n    return C(base=1, proxies=p)\n"
    assert hits(tmp_path, code, CLIENT, BARE) == []


OPTIONS = "from dataclasses import dataclass\n@dataclass\nclass Config:\n    seed: int = 0\n    name: str = ''\n"


@pytest.mark.parametrize(
    ("base", "found"),
    [
        ("transformers.TrainingArguments", [("argument-gone", "error")]),  # which is pinned
        ("far.Arguments", [("argument-swallowed", "warning")] * 2),
        ("object", [("argument-gone", "error")] * 2),
    ],
)
def test_options_of_bases_in_other_libraries(base: str, found: list, tmp_path: Path):
    """`seed` is one of transformers' own; of an unknown base nothing is certain."""
    module = base.partition(".")[0]
    head = f"import {module}\n" if "." in base else ""
    new = f"{head}from dataclasses import dataclass\n@dataclass\nclass Config({base}):\n    x: int = 0\n"
    told = hits(tmp_path, "import lib\nlib.Config(name='a', seed=3)\n", OPTIONS, new)
    assert [(hit.rule, hit.level) for hit in told] == found


def test_an_option_whose_default_is_set_again_under_a_condition(tmp_path: Path):
    """It is an option still."""
    old = OPTIONS + "    if COLAB:\n        seed = 1\n"
    new = OPTIONS.replace("    seed: int = 0\n", "")
    assert rules(hits(tmp_path, "import lib\nlib.Config(seed=3)\n", old, new)) == ["argument-gone"]


READER = """
class Base:
    def __init__(self, model):
        self.model = model
        self.scale = 1
    def loss(self):
        return {}
    def show(self):
        return {}
"""


def project(*lines: str) -> str:
    body = "\n".join(f"        {line}" for line in lines)
    return f"from lib import Base\nclass C(Base):\n    def __init__(self, model):\n{body}\n"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("self.model = model", ["attribute-needed"]),
        ("self.model, self.scale = model, 2", []),
        ("Base.__init__(self, model)", []),
        ("super().__init__(model)", []),
    ],
)
def test_a_constructor_that_is_skipped(line: str, found: list, tmp_path: Path):
    """It is not, where that of the base is called by name."""
    old, new = READER.format("1", "2"), READER.format("self.scale", "2")
    assert rules(hits(tmp_path, project(line), old, new)) == found


def test_what_is_read_in_one_more_method(tmp_path: Path):
    """What read it before may have been out of reach, so that this is not certain."""
    old, new = READER.format("1", "self.scale"), READER.format("self.scale", "self.scale")
    (hit,) = hits(tmp_path, project("self.model = model"), old, new)
    assert (hit.rule, hit.level) == ("attribute-needed", "warning")


def test_what_a_pinned_base_may_set(tmp_path: Path):
    """The constructor of transformers' trainer is called instead, or may be."""
    old = "from transformers import Trainer\nclass Base(Trainer):\n    def __init__(self): ...\n    def f(self): ...\n"
    new = (
        "from transformers import Trainer\nclass Base(Trainer):\n    def __init__(self):\n"
        "        self.processing_class = 1\n        self.other = 1\n    def f(self):\n        return {}\n"
    )
    code = (
        "from lib import Base\nfrom transformers import Trainer\nclass C(Base):\n    def __init__(self):\n"
        "        Trainer.__init__(self)\n"
    )
    assert hits(tmp_path / "a", code, old, new.format("self.processing_class")) == []
    assert rules(hits(tmp_path / "b", code, old, new.format("self.other"))) == ["attribute-needed"]


def test_members_of_a_base_that_are_read_on_a_class_of_the_project(tmp_path: Path):
    """Also where the class stands in a branch."""
    old = "class Select:\n    @classmethod\n    def make(cls): ...\n"
    plain = "from lib import Select\nclass C(Select): ...\ndef f():\n    return C.make()\n"
    branch = plain.replace("class C(Select): ...", "if x:\n    class C(Select): ...\nelse:\n    C = cast('C', y)")
    for name, code in (("plain", plain), ("branch", branch)):
        found = hits(tmp_path / name, code, old, "class Select: ...\n")
        assert [(hit.rule, hit.at) for hit in found] == [("name-gone", code.count("\n"))]


def test_attributes_that_are_set_on_an_instance(tmp_path: Path):
    """Nobody reads them any more."""
    code = "import lib\napp = lib.App()\napp.encoder = int\napp.mine = 1\n"
    for number, old in enumerate(("encoder = None", "def __init__(self): self.encoder = 1")):
        found = hits(tmp_path / str(number), code, f"class App:\n    {old}\n", "class App: ...\n")
        assert [(hit.rule, hit.level, hit.at) for hit in found] == [("write-dead", "warning", 3)]


def test_options_of_what_only_sounds_like_a_configuration(tmp_path: Path):
    """The package gives `self.args`; what the project calls so is its own."""
    head = "from dataclasses import dataclass\n@dataclass\nclass Config:\n    epochs: int = 1\n"
    old = f"{head}class T:\n    def __init__(self, args: Config): self.args = args\n"
    code = "from lib import T\nclass C(T):\n    def f(self):\n        return self.{}.epochs\n"
    new = old.replace("epochs", "rounds")
    levels = {
        name: [hit.level for hit in hits(tmp_path / name, code.format(name), old, new)] for name in ("args", "my_args")
    }
    assert levels == {"args": ["error"], "my_args": ["note"]}


def test_defaults_of_other_libraries_are_not_compared(tmp_path: Path):
    """An option that the package no longer declares may have another one there, which is not known."""
    old = OPTIONS.replace("class Config:", "class Config(TrainingArguments):").replace(
        "from", "from transformers import TrainingArguments\nfrom", 1
    )
    new = old.replace("    seed: int = 0\n", "")
    assert hits(tmp_path, "import lib\nlib.Config(name='a')\n", old, new) == []


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ("def __init__(self, name, **kw): super().__init__(name, **kw)", ["argument-gone"]),
        ("def __init__(self, name, **kw):\n        kw.pop('line', 0)\n        super().__init__(name, **kw)", []),
        ("def __init__(self, name, line=0, **kw): super().__init__(name, **kw)", []),
        ("def __init__(self, name, **kw): super().__init__(name)", []),
    ],
)
def test_constructors_of_the_package_that_hand_on(own: str, found: list, tmp_path: Path):
    """What the base no longer takes is gone for callers of what derives from it."""
    old = f"class A:\n    def __init__(self, name, line=1): ...\nclass B(A):\n    {own}\n"
    code = "import lib\nlib.B('x', line=1)\n"
    assert rules(hits(tmp_path, code, old, old.replace("name, line=1)", "name)"))) == found


CAUGHT = {
    "try:\n    from lib import f\nexcept ModuleNotFoundError: pass\n": "error",
    "try:\n    from lib import f\nexcept ImportError: pass\n": "warning",
    "try:\n    from lib.a import g\nexcept ModuleNotFoundError: pass\n": "warning",
    "try:\n    import lib.a\nexcept ModuleNotFoundError: pass\n": "warning",
}


@pytest.mark.parametrize("code", CAUGHT)
def test_only_modules_are_not_found(code: str, tmp_path: Path):
    """A name that a module lacks is a plain `ImportError`, which `except ModuleNotFoundError` lets through."""
    old = {"lib/__init__.py": "def f(): ...\n", "lib/a.py": "def g(): ...\n"}
    found = hits(tmp_path, code, old, {"lib/__init__.py": ""})
    assert {hit.level for hit in found if hit.rule == "name-gone"} == {CAUGHT[code]}


@pytest.mark.parametrize(
    "test", ["Version(lib.__version__) >= Version('2.0')", "int(lib.__version__.split('.')[0]) >= 2"]
)
def test_names_that_only_newer_versions_are_asked_for(test: str, tmp_path: Path):
    """They are missing all the same, in old ones too; the branch is not reached there."""
    code = f"import lib\nfrom packaging.version import Version\nif {test}:\n    from lib import gone, there\n"
    found = scanned(tmp_path, code, "def f(): ...\n", "def there(): ...\n").hits
    assert [(hit.rule, hit.symbol) for hit in found] == [("name-gone", "lib.gone")]
    assert hits(tmp_path / "free", "from lib import gone\n", "def f(): ...\n", "def there(): ...\n") == []


def test_a_warning_about_one_argument_is_none_about_the_class(tmp_path: Path):
    """Who does not pass it is not warned."""
    warning = "warnings.warn('', FutureWarning)"
    new = f"import warnings\nclass C:\n    def __init__(self, a=None):\n        if {{}}:\n            {warning}\n"
    old = "class C:\n    def __init__(self, a=None): ...\n"
    code = "import lib\nlib.C()\n"
    assert rules(hits(tmp_path / "one", code, old, new.format("a is not None"))) == []
    assert rules(hits(tmp_path / "all", code, old, new.format("type(self) is C"))) == ["deprecated"]
