"""The example that learns from the scores of reasoning-gym raises them, on two of its tasks."""

import importlib.util
from math import comb
from pathlib import Path
from statistics import mean

import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "grpo_reasoning_gym.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("grpo_reasoning_gym", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def chance(before, after):
    """How likely so uneven a split of the questions whose score has changed is, if either direction were as likely.

    The exact sign test, two-sided; where scores are 0 and 1, McNemar's.
    """
    better = sum(new > old for old, new in zip(before, after, strict=True))
    worse = sum(new < old for old, new in zip(before, after, strict=True))
    changed = better + worse
    return min(1.0, 2 * sum(comb(changed, k) for k in range(max(better, worse), changed + 1)) / 2**changed)


def test_chance():
    """By hand: 5 of 5, 4 of 5, as many in either direction, and none at all."""
    assert chance([0] * 5, [1] * 5) == 2 / 32
    assert chance([0, 0, 0, 0, 1], [1, 1, 1, 1, 0]) == 2 * (1 + 5) / 32
    assert chance([0, 1], [1, 0]) == chance([0.5], [0.5]) == 1


@pytest.mark.parametrize("name", ["chain_sum", "leg_counting"])
def test_the_reward_rises(example, name, tmp_path):
    """Greedy answers to 300 questions that no training data contains; the same questions before and after."""
    before, after = example.learn(name, 0, str(tmp_path))
    assert len(before) == 300
    assert 0.05 < mean(before) < 0.6  # there is something to learn, and something to start from
    assert mean(after) > mean(before)
    assert chance(before, after) < 0.001
