"""Reward functions run side by side, and what one does wrong is said with its name."""

import asyncio
import logging
import threading
import time

import pytest
import torch

from sternpost.rewards.run import RewardFunction, run_rewards

COMPLETIONS = ["a", "bb", "ccc"]


def run(*functions, timeout=None):
    return run_rewards([RewardFunction.of(f) for f in functions], {"completions": COMPLETIONS}, 3, timeout)


def lengths(completions, **kwargs):
    return [len(completion) for completion in completions]


def test_functions_and_coroutines_give_their_rewards_in_order():
    """Lists, tensors, integers, booleans; None and not-a-number say nothing."""

    async def waits(completions, **kwargs):
        await asyncio.sleep(0.01)
        return [None, True, float("nan")]

    def tensor(completions, **kwargs):
        return torch.tensor([0.5, 1.0, 2.0])

    assert run(lengths, waits, tensor) == [[1.0, 2.0, 3.0], [None, 1.0, None], [0.5, 1.0, 2.0]]


def test_they_run_side_by_side():
    """Each waits until the other has begun, which none could if they ran one after the other."""
    barrier = threading.Barrier(2, timeout=10)

    def one(completions, **kwargs):
        barrier.wait()
        return [1.0] * 3

    async def other(completions, **kwargs):
        barrier.wait()
        return [2.0] * 3

    assert run(one, other) == [[1.0] * 3, [2.0] * 3]


def test_a_reward_that_hangs_costs_its_own_rewards_only(caplog):
    """The others are there, and the log names the one that is late."""
    stop = threading.Event()

    def hangs(completions, **kwargs):
        stop.wait()
        return [0.0] * 3

    start = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert run(hangs, lengths, timeout=0.2) == [[None] * 3, [1.0, 2.0, 3.0]]
    assert time.monotonic() - start < 5
    assert "the reward `hangs` took longer than 0.2 s" in caplog.text
    stop.set()


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [
        ([1.0], ValueError, "the reward `wrong` returned 1 values for 3 completions"),
        (1.0, TypeError, "the reward `wrong` returned a float"),
        ("abc", TypeError, "the reward `wrong` returned a str"),
        (["1", 2, 3], TypeError, "the reward `wrong` is '1' for completion 0"),
        ([0, float("inf"), 0], ValueError, "the reward `wrong` is inf for completion 1"),
    ],
)
def test_wrong_results_name_the_reward(returned, kind, message):
    """Number, kind and value."""

    def wrong(completions, **kwargs):
        return returned

    with pytest.raises(kind, match=message):
        run(wrong)


def test_an_error_names_the_reward():
    """Its own error is the cause."""

    def breaks(completions, **kwargs):
        raise KeyError("solution")

    with pytest.raises(RuntimeError, match="the reward `breaks` failed with KeyError: 'solution'") as raised:
        run(breaks)
    assert isinstance(raised.value.__cause__, KeyError)


def test_callable_objects_have_the_name_of_their_class():
    """So do partial functions and models."""

    class Judge:
        def __call__(self, completions, **kwargs):
            return [0.0] * 3

    assert RewardFunction.of(Judge()).name == "Judge"
    assert run(Judge()) == [[0.0] * 3]
