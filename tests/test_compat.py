"""What we rely on in our dependencies is there, in the lowest and in the newest version that we support."""

import ast
from pathlib import Path

import pytest
import transformers

import sternpost
from sternpost import SFTConfig
from sternpost.compat import PRIVATE_HOOKS


def test_private_hooks_exist():
    """A private name that transformers renames is noticed here, not in somebody's run."""
    for owner, names in PRIVATE_HOOKS.items():
        for name in names:
            assert hasattr(getattr(transformers, owner.rpartition(".")[2]), name), f"{owner}.{name} is gone"


def test_overridden_private_hooks_are_listed():
    """Every private method that a trainer of ours overrides is in the list."""
    trainer = Path(sternpost.__file__).parent / "sft" / "trainer.py"
    for node in ast.walk(ast.parse(trainer.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("_") and not node.name.startswith("__"):
            if hasattr(transformers.Trainer, node.name):
                assert node.name in PRIVATE_HOOKS["transformers.Trainer"]


@pytest.mark.parametrize("asked", [True, False])
def test_activation_checkpointing_has_one_meaning(tmp_path, asked):
    """`gradient_checkpointing` works under the name that this transformers reads, without its deprecation warning."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        args = SFTConfig(str(tmp_path), gradient_checkpointing=asked)
    assert args.gradient_checkpointing is asked
    assert getattr(args, "activation_checkpointing", asked) is asked
