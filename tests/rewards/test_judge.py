"""All rewards of a run, asked at once: what they are given, what comes out, and what cannot be."""

import asyncio
import logging
import math
import threading
from functools import partial

import pytest
import torch

from sternpost.generation.tools import Calls
from sternpost.generation.trajectory import Trajectory
from sternpost.rewards import get_cosine_scaled_reward
from sternpost.rewards.judge import Judge
from sternpost.rewards.judged import Judged, table_of

ROWS = [{"prompt": "p", "solution": at, "tag": "x"} for at in range(3)]
COMPLETIONS = ["a", "bb", "ccc"]


def trajectories(environments=(None,) * 3, **fields):
    told = [{name: values[at] for name, values in fields.items()} for at in range(3)]
    return [
        Trajectory([1], [at, 7], [0.0] * 2, [True] * 2, True, environment=environment, fields=each)
        for at, (environment, each) in enumerate(zip(environments, told, strict=True))
    ]


def lengths(completions, **kwargs):
    return [len(completion) for completion in completions]


def test_rewards_are_given_what_is_documented():
    """Prompts, completions, ids, every column, the state; where a roll-out says more, that; no `prompt`."""
    seen = {}

    def looks(**kwargs):
        seen.update(kwargs)
        return [0.0] * 3

    Judge(looks)(ROWS, trajectories(turns=[1, 2, 3], tag=["a", "b", "c"]), COMPLETIONS, "the state")
    assert callable(seen.pop("log_extra"))
    assert callable(seen.pop("log_metric"))
    assert seen == {
        "prompts": ["p"] * 3,
        "completions": COMPLETIONS,
        "completion_ids": [[0, 7], [1, 7], [2, 7]],
        "solution": [0, 1, 2],
        "tag": ["a", "b", "c"],
        "turns": [1, 2, 3],
        "trainer_state": "the state",
    }


def test_one_row_per_reward_in_their_order():
    """A function gets only what it names; what is not given is not-a-number, on the CPU in float32."""

    async def solved(solution):
        return [None, *map(float, solution[1:])]

    found = Judge([solved, lengths], reward_weights=[0.5, 2.0])(ROWS, trajectories(), COMPLETIONS)
    assert found.names == ["solved", "lengths"]
    torch.testing.assert_close(found.rewards, torch.tensor([[math.nan, 1.0], [1.0, 2.0], [2.0, 3.0]]), equal_nan=True)


def test_what_rewards_log():
    """Columns as lists, metrics averaged over the batch; nothing stays for the next batch."""

    def logs(completions, log_extra, log_metric):
        log_extra("length", torch.tensor([1, 2, 3]))
        log_metric("odd", 1)
        log_metric("odd", torch.tensor(2.0))
        return [0.0] * 3

    judge = Judge([logs, lengths])
    for _ in range(2):
        found = judge(ROWS, trajectories(), COMPLETIONS)
        assert found.columns == {"length": [1, 2, 3]}
        assert found.metrics == {"odd": 1.5}


def test_two_rewards_may_log_the_same():
    """The later one puts its name before the column; a metric is the mean of both."""

    def logs(completions, log_extra, log_metric):
        log_extra("length", [1, 2, 3])
        log_metric("odd", 1)
        return [0.0] * 3

    async def logs_too(completions, log_extra, log_metric):
        log_extra("length", [4, 5, 6])
        log_metric("odd", 2)
        return [0.0] * 3

    found = Judge([logs, logs_too])(ROWS, trajectories(), COMPLETIONS)
    assert found.columns == {"length": [1, 2, 3], "logs_too/length": [4, 5, 6]}
    assert found.metrics == {"odd": 1.5}


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("length", [1], "ValueError: `log_extra` got 1 values of `length` for 3 completions"),
        ("length", "abc", "TypeError: `log_extra` got str for `length`"),
        ("advantage", [1, 2, 3], "there is a column `advantage` already"),
        ("logs", [1, 2, 3], "there is a column `logs` already"),
        (None, "high", "TypeError: `log_metric` got 'high' for `odd`. Give a number"),
    ],
)
def test_wrong_notes_name_the_reward(column, values, message):
    """And the column or metric."""

    def logs(completions, log_extra, log_metric):
        log_extra(column, values) if column else log_metric("odd", values)
        return [0.0] * 3

    with pytest.raises(RuntimeError, match=f"the reward `logs` failed with .*{message}"):
        Judge(logs)(ROWS, trajectories(), COMPLETIONS)


def test_environments_judge_what_happened_in_them():
    """A reward for each class that has `get_reward()`, of weight 1, after the functions; others say nothing."""

    class Maze:
        def __init__(self, reward):
            self.reward = reward

        def get_reward(self):
            return self.reward

    class Web(Maze):
        async def get_reward(self):
            return self.reward

    class Silent:
        pass

    def counts(environments):
        return [type(environment).__name__ == "Web" for environment in environments]

    places = [Maze(0.5), Web(2), Silent()]
    judge = Judge(counts, reward_weights=[3.0], environments=[Maze, Web, Silent, Maze])
    found = judge(ROWS, trajectories(places), COMPLETIONS)
    assert found.names == ["counts", "Maze", "Web"]
    assert judge.weights.tolist() == [3.0, 1.0, 1.0]
    expected = torch.tensor([[0.0, 0.5, math.nan], [1.0, math.nan, 2.0], [0.0, math.nan, math.nan]])
    torch.testing.assert_close(found.rewards, expected, equal_nan=True)
    assert Judge(None, environments=[Maze])(ROWS, trajectories(places), COMPLETIONS).names == ["Maze"]
    places[0].reward = "high"
    with pytest.raises(TypeError, match="the reward `Maze` is 'high' for completion 0"):
        judge(ROWS, trajectories(places), COMPLETIONS)
    with pytest.raises(ValueError, match="`reward_funcs` is empty"):
        Judge(None, environments=[Silent])


def test_an_environment_that_fails_costs_its_reward_only(caplog):
    """The log says which and why; if all fail, it is an error."""

    class Fragile:
        def __init__(self, error=None):
            self.error = error

        def get_reward(self):
            if self.error:
                raise self.error
            return 1.0

    judge = Judge(None, environments=[Fragile])
    with caplog.at_level(logging.WARNING):
        found = judge(ROWS, trajectories([Fragile(), Fragile(KeyError("door")), Fragile()]), COMPLETIONS)
    assert found.rewards.isnan().tolist() == [[False], [True], [False]]
    assert "`get_reward()` of the environment `Fragile` failed with KeyError: 'door'" in caplog.text
    assert "not given for completion 1" in caplog.text
    with pytest.raises(RuntimeError, match=r"failed with KeyError: 'door'\. So did all others"):
        judge(ROWS, trajectories([Fragile(KeyError("door"))] * 3), COMPLETIONS)


def test_environments_are_asked_where_their_methods_run():
    """In the event loop that opened what they hold, and else in this thread."""
    calls = Calls()
    opened = calls.loop

    class Held:
        async def get_reward(self):
            return asyncio.get_running_loop() is opened

    class Bound:
        def get_reward(self):
            return threading.current_thread() is threading.main_thread()

    judge = Judge(None, environments=[Held, Bound], calls=calls)
    found = judge(ROWS, trajectories([Held(), Held(), Bound()]), COMPLETIONS)
    assert found.rewards.nansum(1).tolist() == [1.0, 1.0, 1.0]


def test_names_of_rewards_differ():
    """A second one of the same name is numbered; partial functions have the name of theirs."""
    cosine = [get_cosine_scaled_reward(length) for length in (10, 20)]
    judge = Judge([*cosine, partial(lengths, more=1), lengths, lambda completions: [0.0] * 3])
    assert judge.names == ["cosine_scaled_reward", "cosine_scaled_reward_2", "lengths", "lengths_2", "<lambda>"]

    def lengths_2(completions):
        return [0.0] * 3

    assert Judge([lengths, lengths, lengths_2]).names == ["lengths", "lengths_3", "lengths_2"]


def test_names_of_rewards_are_not_those_of_other_columns():
    """The completions table keeps all of its columns, and what a reward logs is none of them."""
    columns = ["step", "prompt", "completion", "advantage"]

    def named(name):
        reward = partial(lambda completions, log_extra: [0.5] * 3)
        reward.func.__name__ = name
        return reward

    judge = Judge([named(name) for name in [*columns, "reward"]])
    assert judge.names == [*(f"{name}_2" for name in columns), "reward"]
    found = judge(ROWS, trajectories(), COMPLETIONS)
    made = Judged(ROWS, trajectories(), COMPLETIONS, found.rewards, found.columns)
    table = table_of(made, torch.ones(3), judge.names, 7)
    assert {name: table[name][0] for name in columns} == {"step": 7, "prompt": "p", "completion": "a", "advantage": 1.0}
    assert all(table[name] == [0.5] * 3 for name in judge.names)


def test_columns_that_rewards_need_are_asked_for_before_the_run():
    """The message names the reward, what it asks for, and what there is."""

    def right(completions, solution, tag=None):
        return [0.0] * 3

    judge = Judge([lengths, right])
    judge.check_columns(["prompt", "solution"])
    with pytest.raises(ValueError, match="the reward `right` asks for `solution`, but rewards are given `prompts`,"):
        judge.check_columns(["prompt", "answer"])
    with pytest.raises(ValueError, match="asks for `environments`"):
        Judge(lambda environments: []).check_columns(["prompt"])
    Judge(lambda environments: [], environments=[dict]).check_columns(["prompt"])


def test_a_column_with_a_name_of_ours_is_said_once(caplog):
    """Rewards are given the completions, not the column."""
    rows = [row | {"completions": "from the data"} for row in ROWS]
    judge = Judge(lengths)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert judge(rows, trajectories(), COMPLETIONS).rewards[:, 0].tolist() == [1, 2, 3]
    assert caplog.text.count("rewards are not given the columns `completions`") == 1


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"reward_funcs": []}, ValueError, "`reward_funcs` is empty"),
        ({"reward_funcs": [3]}, TypeError, r"`reward_funcs` holds 3 \(int\)"),
        ({"reward_weights": [1.0, 2.0]}, ValueError, "has 2 values for 1 `reward_funcs`"),
        ({"reward_weights": [math.inf]}, ValueError, "must be finite"),
        ({"reward_processing_classes": [None, None]}, ValueError, "has 2 entries for 1 `reward_funcs`"),
        ({"reward_processing_classes": [object()]}, ValueError, "a tokenizer for the reward function `lengths`"),
        ({"timeout": 0}, ValueError, "`reward_timeout=0` must be positive"),
    ],
)
def test_what_does_not_fit_is_refused(options, kind, message):
    """Before the run."""
    with pytest.raises(kind, match=message):
        Judge(**{"reward_funcs": lengths, **options})
