"""Rewards are found by name; what is not found is said with what there is."""

import sys

import pytest

from sternpost.rewards import accuracy_reward, load_reward, reasoning_accuracy_reward, think_format_reward


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """The working directory of a user who has rewards of their own."""
    (tmp_path / "own_rewards.py").write_text("def right(completions): return [1.0]\nWEIGHT = 3\n")
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "rewards.py").write_text("def wrong(completions): return [0.0]\n")
    (tmp_path / "own_broken.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    yield
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def test_ready_made_rewards_have_names():
    """Those of the command line; the soft punishment has the lengths of its paper's small setting."""
    assert load_reward("accuracy_reward") is accuracy_reward
    assert load_reward("reasoning_accuracy_reward") is reasoning_accuracy_reward
    assert load_reward("think_format_reward") is think_format_reward
    punishment = load_reward("get_soft_overlong_punishment")
    lengths = [1024, 1152, 1280, 1281]
    assert punishment(completion_ids=[[0] * length for length in lengths]) == [0.0, -0.5, -1.0, -1.0]


def test_dotted_paths_lead_to_functions(modules):
    """Of installed packages, and of modules in the working directory."""
    assert load_reward("sternpost.rewards.think_format_reward") is think_format_reward
    assert load_reward("own_rewards.right")([""]) == [1.0]
    assert load_reward("own_package.rewards.wrong")([""]) == [0.0]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("acuracy_reward", ValueError, "is no ready-made reward .* Did you mean 'accuracy_reward'"),
        ("nonsense", ValueError, "Give the dotted path of a function"),
        (".right", ValueError, "is no ready-made reward"),
        ("own_rewards.", ValueError, "is no ready-made reward"),
        ("own_nowhere.right", ImportError, "importing `own_nowhere` failed .* in the working directory"),
        ("own_broken.right", ImportError, "importing `own_broken` failed .* No module named 'nothing_of_this_name'"),
        ("own_rewards.rihgt", ImportError, "has no `rihgt`. Did you mean `right`"),
        ("own_rewards.WEIGHT", TypeError, "is 3 and cannot be called"),
    ],
)
def test_what_is_not_found_is_said(modules, name, kind, message):
    """With the name that was given, and the nearest one."""
    with pytest.raises(kind, match=f"`reward_funcs` names '{name}'.*{message}"):
        load_reward(name)
