"""Ready-made rewards follow their papers' rules."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sternpost.rewards import (
    get_cosine_scaled_reward,
    get_repetition_penalty_reward,
    get_soft_overlong_punishment,
    think_format_reward,
)
from sternpost.rewards.math import accuracy_reward, reasoning_accuracy_reward


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("<think>a\nb</think>42", 1),
        ("<think></think>", 1),
        ("42", 0),
        ("a<think>b</think>42", 0),
        ("<think>b", 0),
        ("<think>a</think>b<think>c</think>", 0),
        ("<think><think>a</think>b", 0),
        ("<think>a</think>b</think>", 1),
        (" <think>a</think>b", 0),
        ("", 0),
    ],
)
def test_one_thought_at_the_start(text, reward):
    """Text and messages alike."""
    assert think_format_reward([text]) == [reward]
    assert think_format_reward([[{"role": "assistant", "content": text}]]) == [reward]


def test_repetition():
    """By hand: 1 2 1 2 1 has the pairs 12 21 12 21, two of four different; 7 7 7 7 one of three."""
    reward = get_repetition_penalty_reward(ngram_size=2, max_penalty=-1.0)
    ids = [[1, 2, 1, 2, 1], [1, 2, 3, 4], [1], [], [7, 7, 7, 7]]
    assert reward(completion_ids=ids) == pytest.approx([-0.5, 0.0, 0.0, 0.0, -2 / 3])
    assert get_repetition_penalty_reward(3, -0.5)(completion_ids=[[7] * 5]) == pytest.approx([-0.5 * 2 / 3])
    for options in ({"max_penalty": 1.0}, {"ngram_size": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(options))}="):
            get_repetition_penalty_reward(**options)


@given(st.integers(0, 130))
def test_overlong_answers_are_punished_softly(length):
    """DAPO, eq. 13, piece by piece."""
    (reward,) = get_soft_overlong_punishment(100, 20)(completion_ids=[[0] * length])
    expected = 0 if length <= 80 else (80 - length) / 20 if length <= 100 else -1
    assert reward == pytest.approx(expected)


def test_overlong_zone_must_fit():
    """It is no longer than a completion."""
    with pytest.raises(ValueError, match="`soft_punish_cache=30`"):
        get_soft_overlong_punishment(20, 30)


@pytest.mark.parametrize("length", [0, 5, 10, 20])
def test_short_right_answers_and_long_wrong_ones_are_better(length):
    """Cosines between the bounds."""
    reward = get_cosine_scaled_reward(max_len=10)
    right, wrong = reward(
        completions=[r"\boxed{4}", r"\boxed{5}"], completion_ids=[[0] * length] * 2, solution=["$4$", "$4$"]
    )
    cosine = math.cos(math.pi * min(length / 10, 1))
    assert right == pytest.approx(0.5 + 0.25 * (1 + cosine))
    assert wrong == pytest.approx(-0.5 - 0.25 * (1 + cosine))


def test_answers_are_compared_by_value():
    """Other spellings of the solution are right; a solution that cannot be read says nothing."""
    completions = [r"so \boxed{\frac{1}{2}}", r"\boxed{0.5}", r"\boxed{2}", "I do not know", r"\boxed{1}"]
    assert accuracy_reward(completions, [r"$\frac{1}{2}$"] * 4 + ["what?"]) == [1.0, 1.0, 0.0, 0.0, None]


def test_what_was_read_is_logged():
    """Of solution and answer, as text; None where nothing was read."""
    logged = {}
    accuracy_reward([r"\boxed{4}", "4"], ["$4$", "what?"], log_extra=logged.__setitem__)
    assert logged == {
        "solution": ["$4$", "what?"],
        "gold_parsed": ["[4, '4']", None],
        "answer_parsed": ["[4, '4']", None],
    }
    reasoning_accuracy_reward([r"<think>\boxed{4}", "</think>4"], ["$4$"] * 2, log_extra=logged.__setitem__)
    assert logged["answer_parsed"] == [None, None]


def test_only_what_follows_the_reasoning_counts():
    """Reasoning that never ends gets nothing."""
    completions = [r"<think>\boxed{3}</think>\boxed{4}", r"<think>\boxed{4}", r"</think>\boxed{4}</think>\boxed{3}"]
    assert reasoning_accuracy_reward(completions, ["$4$"] * 3) == [1.0, 0.0, 0.0]
    others = [r"[/THINK]\boxed{4}", r"[/THINK]\boxed{3}</think>\boxed{4}", r"</think>\boxed{4}"]
    assert reasoning_accuracy_reward(others, ["$4$"] * 3, reasoning_delimiters=["[/THINK]"]) == [1.0, 0.0, 0.0]
    assert reasoning_accuracy_reward(others, ["$4$"] * 3, ["[/THINK]", "</think>"]) == [1.0, 1.0, 1.0]
    assert reasoning_accuracy_reward(completions, ["what?"] * 3) == [None, 0.0, None]
