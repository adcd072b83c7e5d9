"""Advantages follow their papers' formulas, group by group, with rewards missing here and there."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.grpo.advantages import TINY, advantages
from sternpost.rewards.groups import weighted_sum, without_signal

NAN = math.nan


@st.composite
def problems(draw):
    group, groups, kinds = draw(st.integers(2, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    values = st.sampled_from([0.0, 1.0, 0.5, -2.0, NAN])
    rewards = [[draw(values) for _ in range(kinds)] for _ in range(group * groups)]
    weights = [draw(st.sampled_from([1.0, 0.5, 2.0])) for _ in range(kinds)]
    return group, rewards, weights


def known(values):
    return [value for value in values if not math.isnan(value)]


def mean(values):
    found = known(values)
    return sum(found) / len(found) if found else NAN


def deviation(values):
    found = known(values)
    if len(found) < 2:
        return 0.0
    return math.sqrt(sum((value - mean(found)) ** 2 for value in found) / (len(found) - 1))


def total(row, weights):
    return sum(w * r for w, r in zip(weights, row, strict=True) if not math.isnan(r)) if known(row) else NAN


def zero_if_unknown(values):
    return [0.0 if math.isnan(value) else value for value in values]


def by_group(values, group):
    return [values[at : at + group] for at in range(0, len(values), group)]


@settings(max_examples=60, deadline=None)
@given(problem=problems(), scale=st.sampled_from(["group", "batch", "none"]))
def test_sum_then_normalize(problem, scale):
    """The weighted sum, less the mean of its group, over the spread of group or batch, or over nothing."""
    group, rewards, weights = problem
    totals = [total(row, weights) for row in rewards]
    expected = []
    for members in by_group(totals, group):
        spread = {"group": deviation(members) + TINY, "batch": deviation(totals) + TINY, "none": 1.0}[scale]
        expected += [(member - mean(members)) / spread for member in members]
    found = advantages(torch.tensor(rewards).double(), torch.tensor(weights).double(), group, scale)
    assert found.tolist() == pytest.approx(zero_if_unknown(expected), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_normalize_then_sum(problem):
    """Each reward within its group, then the sum within the batch."""
    group, rewards, weights = problem
    columns = []
    for column in zip(*rewards, strict=True):
        normal = []
        for members in by_group(list(column), group):
            normal += [(member - mean(members)) / (deviation(members) + TINY) for member in members]
        columns.append(normal)
    totals = [total(row, weights) for row in zip(*columns, strict=True)]
    expected = [(value - mean(totals)) / (deviation(totals) + TINY) for value in totals]
    found = advantages(
        torch.tensor(rewards).double(), torch.tensor(weights).double(), group, aggregation="normalize_then_sum"
    )
    assert found.tolist() == pytest.approx(zero_if_unknown(expected), abs=1e-9)


def test_groups_without_signal_are_counted():
    """All members alike, or only one reward known."""
    rewards = torch.tensor([1.0, 1.0, 0.0, 1.0, NAN, 2.0])
    assert without_signal(rewards, 2).tolist() == [1.0, 0.0, 1.0]


@settings(max_examples=100, deadline=None)
@given(
    reward=st.floats(-100, 100, width=32),
    weight=st.floats(-2, 2, width=32),
    group=st.integers(2, 9),
    scale=st.sampled_from(["group", "batch", "none"]),
)
def test_equal_rewards_teach_nothing(reward, weight, group, scale):
    """Completions with the same reward have no advantage, not even that of rounding, and their group has no signal."""
    rewards = torch.tensor([reward, reward / 3]).repeat(2 * group, 1)
    weights = torch.tensor([1.0, weight])
    assert not advantages(rewards, weights, group, scale).any()
    assert without_signal(weighted_sum(rewards, weights), group).all()
