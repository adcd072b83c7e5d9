"""Reward functions run side by side, and what one does wrong is said with its name."""

import asyncio
import logging
import threading
import time

import numpy as np
import pytest
import torch

from sternpost.rewards import NotGiven
from sternpost.rewards.run import LEFT_BEHIND, RewardFunction

COMPLETIONS = ["a", "bb", "ccc"]
NOTHING = [None] * 3


def run(*functions, timeout=None):
    """The rewards of functions, which are made into reward functions if they are not yet."""
    made = [each if isinstance(each, RewardFunction) else RewardFunction.of(each) for each in functions]
    deadline = None if timeout is None else time.monotonic() + timeout
    calls = [function.start({"completions": COMPLETIONS}) for function in made]
    return [call.rewards(len(COMPLETIONS), deadline, timeout) for call in calls]


def lengths(completions, **kwargs):
    return [len(completion) for completion in completions]


def test_functions_and_coroutines_give_their_rewards_in_order():
    """Lists, tensors, integers, booleans; None and not-a-number say nothing."""

    async def waits(completions, **kwargs):
        await asyncio.sleep(0.01)
        return [None, True, float("nan")]

    def tensor(completions, **kwargs):
        return torch.tensor([0.5, 1.0, 2.0])

    def numbers(completions, **kwargs):
        return (np.float32(0.5), torch.tensor(1), np.int64(2))

    halves = [0.5, 1.0, 2.0]
    assert run(lengths, waits, tensor, numbers) == [[1.0, 2.0, 3.0], [None, 1.0, None], halves, halves]


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


def test_many_take_as_long_as_one():
    """Twenty functions and twenty coroutines that wait half a second each."""

    def waits(completions):
        time.sleep(0.5)
        return [1.0] * 3

    async def waits_too(completions):
        await asyncio.sleep(0.5)
        return [2.0] * 3

    start = time.monotonic()
    assert run(*[waits] * 20, *[waits_too] * 20) == [[1.0] * 3] * 20 + [[2.0] * 3] * 20
    assert time.monotonic() - start < 10


def test_an_asynchronous_reward_keeps_its_loop():
    """So that its connections live from batch to batch."""
    loops = []

    async def asks(completions):
        loops.append(asyncio.get_running_loop())
        return [1.0] * 3

    function = RewardFunction.of(asks)
    assert run(function) == run(function) == [[1.0] * 3]
    assert loops[0] is loops[1]


def test_threads_end_with_their_reward():
    """A reward that nobody knows of any more leaves none behind."""
    function = RewardFunction.of(lengths)
    run(function)
    thread = function.worker.thread
    assert thread.is_alive()
    del function
    thread.join(10)
    assert not thread.is_alive()


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


def test_time_is_one_for_all():
    """Three that hang cost the time once."""
    stop = threading.Event()

    def hangs(completions, **kwargs):
        stop.wait()

    start = time.monotonic()
    assert run(*[hangs] * 10, timeout=1.0) == [NOTHING] * 10
    assert time.monotonic() - start < 5
    stop.set()


def test_a_coroutine_out_of_time_is_cancelled():
    """It can tidy up, and is asked again for the next batch."""
    cancelled = threading.Event()
    calls = []

    async def hangs_once(completions):
        calls.append(1)
        try:
            await asyncio.sleep(600 if len(calls) == 1 else 0)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return [1.0] * 3

    function = RewardFunction.of(hangs_once)
    assert run(function, timeout=0.1) == [NOTHING]
    assert cancelled.wait(10)
    assert run(function) == [[1.0] * 3]


def test_calls_left_behind_are_bounded(caplog):
    """With so many of them it is not called; when they have ended it is again, and no thread is left."""
    stop, begun = threading.Event(), threading.Semaphore(0)

    def hangs(completions):
        begun.release()
        stop.wait()
        return [1.0] * 3

    function = RewardFunction.of(hangs)
    for _ in range(LEFT_BEHIND):
        call = function.start({"completions": COMPLETIONS})
        assert begun.acquire(timeout=10)
        assert call.rewards(3, time.monotonic(), 0) == NOTHING
    with caplog.at_level(logging.WARNING):
        assert run(function) == [NOTHING]
    assert f"the reward `hangs` is not called: {LEFT_BEHIND} calls of it still run" in caplog.text
    stop.set()
    for worker in function.left:
        worker.thread.join(10)
        assert not worker.thread.is_alive()
    assert run(function) == [[1.0] * 3]


def test_a_reward_may_give_a_batch_up(caplog):
    """By raising what says so; the log has its reason."""

    async def gives_up(completions):
        raise NotGiven("has no judge today")

    with caplog.at_level(logging.WARNING):
        assert run(gives_up, lengths) == [NOTHING, [1.0, 2.0, 3.0]]
    assert "the reward `gives_up` has no judge today; it counts as not given for 3 completions" in caplog.text


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_no_error_is_lost(error):
    """Not even one that would end a thread."""

    def breaks(completions):
        raise error

    with pytest.raises(RuntimeError, match=f"the reward `breaks` failed with {type(error).__name__}"):
        run(breaks)


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [
        ([1.0], ValueError, "the reward `wrong` returned 1 values for 3 completions"),
        (1.0, TypeError, "the reward `wrong` returned a float"),
        (None, TypeError, "the reward `wrong` returned a NoneType. Return a list, one per completion"),
        ({"a": 1}, TypeError, "the reward `wrong` returned a dict"),
        ("abc", TypeError, "the reward `wrong` returned a str"),
        (["1", 2, 3], TypeError, "the reward `wrong` is '1' for completion 0"),
        ([0, float("inf"), 0], ValueError, "the reward `wrong` is inf for completion 1"),
        ([0, 0, 10**400], ValueError, "the reward `wrong` is inf for completion 2"),
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


def test_what_a_reward_takes():
    """Only what it names is given to it; what it needs must be there, and be given by name."""

    def few(completions, other=3, *, more=4):
        return [len(each) + other + more for each in completions]

    def needs(completions, solution):
        return [0.0] * 3

    def by_place(completions, /):
        return [0.0] * 3

    call = RewardFunction.of(few).start({"completions": COMPLETIONS, "prompts": 1, "more": 0})
    assert call.rewards(3) == [4.0, 5.0, 6.0]
    with pytest.raises(ValueError, match="the reward `needs` asks for `solution`, but rewards are given `completions`"):
        run(needs)
    with pytest.raises(TypeError, match="the reward `by_place` takes `completions` by its place only"):
        run(by_place)
    assert RewardFunction.of(max).accepted({"completions": 1}) == {"completions": 1}  # it does not tell what it takes


def test_callable_objects_have_the_name_of_their_class():
    """So do partial functions and models."""

    class Judge:
        def __call__(self, completions, **kwargs):
            return [0.0] * 3

    assert RewardFunction.of(Judge()).name == "Judge"
    assert run(Judge()) == [[0.0] * 3]
