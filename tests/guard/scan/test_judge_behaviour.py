"""What the package does otherwise behind names that stayed."""

from pathlib import Path

import pytest

from .projects import BASE, changed, hits, rules

HEAD = "from lib import Config, Trainer, pad\n"
CHECK = '    if value < 0:\n        raise ValueError(f"value is {value}, too low")\n    return x\n'


def test_a_function_that_refuses_more(tmp_path: Path):
    """Said with its message, once for all lines that call it."""
    new = changed('side="left"):\n    return x\n', f'side="left"):\n{CHECK}')
    found = hits(tmp_path, f"{HEAD}pad(1)\npad(2)\n", BASE, new)
    assert [(hit.rule, hit.level, hit.at) for hit in found] == [("refuses", "note", 2), ("refuses", "note", 3)]
    assert "ValueError: value is ...too low" in found[0].says.replace("..., ", "...")
    assert len({hit.cause for hit in found}) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("too low", "below zero"),
        ("if value < 0", "if 0 > value"),
        ("    if value", "    if x:\n        pass\n    if value"),
    ],
)
def test_a_check_that_is_worded_otherwise_is_no_news(old: str, new: str, tmp_path: Path):
    """The same message, or under the same test."""
    text = changed('side="left"):\n    return x\n', f'side="left"):\n{CHECK}')
    assert not hits(tmp_path, f"{HEAD}pad(1)\n", text, text.replace(old, new))


def test_a_base_class_that_refuses_more(tmp_path: Path):
    """Its constructor is run by every subclass that does not replace it."""
    new = changed("        self.model = model\n", "        assert model\n        raise TypeError('no model')\n")
    found = hits(tmp_path, f"{HEAD}class T(Trainer):\n    pass\n", BASE, new)
    assert ("refuses", 2) in {(hit.rule, hit.at) for hit in found}


SETTLED = "    steps: int = field(default=3)\n\n    def __post_init__(self):\n        self.beta = self.steps * 2\n"


def test_an_option_that_the_configuration_sets_itself(tmp_path: Path):
    """Its declared default stayed, and says nothing any more; those who pass it are not told."""
    new = changed("    steps: int = field(default=3)\n", SETTLED)
    found = hits(tmp_path, f"{HEAD}Config(steps=1)\nConfig(beta=1.0, steps=2)\n", BASE, new)
    assert [(hit.rule, hit.level, hit.at) for hit in found] == [("default-shifted", "warning", 2)]
    assert "`lib.Config` sets option `beta` itself now: self.steps * 2" in found[0].says


def test_an_option_is_told_once(tmp_path: Path):
    """As another default, where that changed as well."""
    new = changed("    steps: int = field(default=3)\n", SETTLED).replace("beta: float = 0.1", "beta: float = 0.2")
    found = hits(tmp_path, f"{HEAD}Config(steps=1)\n", BASE, new)
    assert [hit.says for hit in found] == ["The default of `beta` of `lib.Config` changed: 0.1 -> 0.2."]


def test_a_base_that_falls_back_on_another_library(tmp_path: Path):
    """A method that it had of its own is that of `transformers.Trainer` now."""
    head = "from transformers import Trainer as Base\n"
    old = f"{head}class Trainer(Base):\n    def training_step(self, model, inputs):\n        return 1\n"
    new = f"{head}class Trainer(Base):\n    pass\n"
    code = "from lib import Trainer\nclass T(Trainer):\n    pass\n"
    assert rules(hits(tmp_path, code, old, new)) == ["fallback"]
    own = f"{code}    def training_step(self, model, inputs):\n        return 2\n".replace("    pass\n", "", 1)
    assert "fallback" not in rules(hits(tmp_path / "own", own, old, new))


def test_classes_that_a_pattern_finds(tmp_path: Path):
    """Options that are gone or set by the class, and refusals: told as notes where the pattern stands."""
    module = "from dataclasses import dataclass\n@dataclass\nclass AConfig:\n    beta: float = 0.1\n    gone: int = 1\n"
    old = {"lib/__init__.py": "", "lib/a_config.py": module}
    body = "    def __post_init__(self):\n        if 1:\n            raise ValueError(1)\n        self.beta = 2\n"
    new = {"lib/__init__.py": "", "lib/a_config.py": f"{module.replace('    gone: int = 1', '')}{body}"}
    found = hits(tmp_path, 'import lib\ndef f(x):\n    return eval(f"lib.{x}_config")\n', old, new)
    assert sorted(rules(found)) == ["default-shifted", "option-gone", "refuses"]
    assert {(hit.level, hit.at) for hit in found} == {("note", 3)}
