"""Subclasses of the package between two versions."""

from pathlib import Path

import pytest

from .projects import BASE, changed, hits, rules

HEAD = "from lib import Config, Trainer\n"


def test_inherited_members_that_are_read_called_and_set(tmp_path: Path):
    """On `self`, through `super()`, and through the project's own classes and mixins."""
    new = changed("self.width = 3", "self.size = 3").replace("return self.width", "return self.size")
    code = f"""{HEAD}
class Mixin:
    def extra(self):
        return self.width
class First(Trainer):
    def grow(self):
        self.width += 1
class Second(Mixin, First):
    def show(self):
        return getattr(self, "width")
"""
    found = hits(tmp_path, code, BASE, new)
    assert {hit.rule for hit in found} == {"member-gone", "write-dead"}
    assert {hit.at for hit in found} == {5, 8, 11}


def test_a_member_that_the_project_defines_is_its_own(tmp_path: Path):
    """Then nothing is lost."""
    code = f"{HEAD}class T(Trainer):\n    width = 1\n    def f(self):\n        return self.width\n"
    new = changed("self.width = 3", "pass").replace("return self.width", "return 3")
    assert "member-gone" not in rules(hits(tmp_path, code, BASE, new))


OVERRIDES = {
    "dead": ("def hook(self, x):\n        return x, 1", "def gone(self, x):\n        return x, 1", "override-dead"),
    "argument": ("self.hook(1)", "self.hook(1, y=2)", "override-argument"),
    "narrow": ("def hook(self, x)", "def hook(self, x, y=0)", "override-narrow"),
    "result": ("a, b = self.hook(1)", "a, b, c = self.hook(1)", "override-result"),
    "kind": ("    def hook(self, x)", "    @property\n    def hook(self)", "override-kind"),
}


@pytest.mark.parametrize("what", sorted(OVERRIDES))
def test_overrides(what: str, tmp_path: Path):
    """Never called any more, called with more, taken apart otherwise: legal Python, and wrong."""
    old, new, rule = OVERRIDES[what]
    text = changed(old, new)
    text = text.replace("self.hook(1)", "self.gone(1)") if what == "dead" else text
    code = f"{HEAD}class T(Trainer):\n    def hook(self, x):\n        return x, 2\n"
    found = hits(tmp_path, code, BASE, text)
    assert (rule, 3) in {(hit.rule, hit.at) for hit in found}


def test_a_method_that_the_base_starts_to_define(tmp_path: Path):
    """The project's method of the same name replaces it unasked."""
    code = f"{HEAD}class T(Trainer):\n    def prepare(self):\n        return 1\n"
    new = changed("    def step(self)", "    def prepare(self): ...\n\n    def step(self)")
    assert rules(hits(tmp_path, code, BASE, new)) == ["override-new"]


def test_what_a_foreign_base_provides_is_not_lost(tmp_path: Path):
    """`log` is still there when the package drops its own: `transformers.Trainer` has one."""
    old = "import transformers\nclass T(transformers.Trainer):\n    def log(self, logs): ...\n    def mine(self): ...\n"
    new = "import transformers\nclass T(transformers.Trainer):\n    pass\n"
    code = "from lib import T\nclass U(T):\n    def log(self, logs): ...\n    def mine(self): ...\n"
    found = hits(tmp_path, code, old, new)
    assert [(hit.rule, hit.at) for hit in found] == [("override-dead", 4)]


def test_super_calls(tmp_path: Path):
    """Of a method that is gone, and of one that takes other arguments."""
    code = f"{HEAD}class T(Trainer):\n    def hook(self, x):\n        return super().hook(x)\n"
    gone = changed("def hook(self, x)", "def other(self, x)").replace("self.hook(1)", "self.other(1)")
    assert "member-gone" in rules(hits(tmp_path / "a", code, BASE, gone))
    more = changed("def hook(self, x)", "def hook(self, x, y)").replace("self.hook(1)", "self.hook(1, 2)")
    assert "argument-required" in rules(hits(tmp_path / "b", code, BASE, more))
    code = f"{HEAD}class T(Trainer):\n    def __init__(self, m):\n        super().__init__(model=m)\n"
    renamed = changed("self, model, args", "self, policy, args")
    assert "argument-gone" in rules(hits(tmp_path / "c", code, BASE, renamed))


def test_a_constructor_that_skips_the_base(tmp_path: Path):
    """What only the base's constructor sets and its methods start to read must be set here."""
    code = f"{HEAD}class T(Trainer):\n    def __init__(self):\n        self.width = 1\n"
    new = changed("self.width = 3", "self.width = 3\n        self.depth = 1").replace(
        "return self.width", "return self.width * self.depth"
    )
    (hit,) = hits(tmp_path / "a", code, BASE, new)
    assert (hit.rule, hit.symbol) == ("attribute-needed", "lib.Trainer.depth")
    calls = code.replace("self.width = 1", "super().__init__(1)")
    assert not hits(tmp_path / "b", calls, BASE, new)


def test_options_read_from_args(tmp_path: Path):
    """`self.args.x` is held against the configuration that the base's constructor names."""
    code = f"{HEAD}class T(Trainer):\n    def f(self):\n        return self.args.steps\n"
    new = changed("    steps: int = field(default=3)\n", "")
    assert [(hit.rule, hit.level) for hit in hits(tmp_path, code, BASE, new)] == [("option-gone", "error")]


def test_defaults_that_a_configuration_of_the_project_takes_over(tmp_path: Path):
    """Told at the class, unless it declares the option itself."""
    new = changed("beta: float = 0.1", "beta: float = 0.2")
    code = f"from dataclasses import dataclass\n{HEAD}@dataclass\nclass C(Config):\n    more: int = 1\n"
    assert [(hit.rule, hit.at) for hit in hits(tmp_path / "a", code, BASE, new)] == [("default-shifted", 4)]
    assert not hits(tmp_path / "b", f"{code}    beta: float = 0.1\n", BASE, new)


def test_a_lost_base_is_told_once(tmp_path: Path):
    """Everything that was inherited goes with it."""
    code = f"{HEAD}class T(Trainer):\n    def hook(self, x):\n        return self.width\n"
    assert rules(hits(tmp_path, code, BASE, changed("class Trainer", "class Other"))) == ["name-gone"]


def test_local_classes_count_too(tmp_path: Path):
    """A class inside a function derives as any other."""
    body = "    class T(Trainer):\n        def f(self):\n            return self.width\n"
    code = f"def make():\n    from lib import Trainer\n{body}"
    new = changed("self.width = 3", "pass").replace("return self.width", "return 3")
    assert "member-gone" in rules(hits(tmp_path, code, BASE, new))
