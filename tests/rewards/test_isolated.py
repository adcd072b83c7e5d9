"""A reward in a process of its own: what happens to the process does not happen to the run."""

import logging
import os
import subprocess
import sys
import time

import pytest

from sternpost.generation.trajectory import Trajectory
from sternpost.rewards import isolated
from sternpost.rewards.judge import Judge

from . import fragile

ROWS = [{"prompt": "p", "marker": "", "seconds": 0.0} for _ in range(3)]
COMPLETIONS = ["a", "bb", "ccc"]
NOTHING = [None] * 3


def judged(judge, **columns):
    rows = [row | columns for row in ROWS]
    found = judge(rows, [Trajectory([1], [2], [0.0], [True], True) for _ in rows], COMPLETIONS)
    return found, [[None if value != value else value for value in column] for column in found.rewards.T.tolist()]


def test_functions_and_coroutines_judge_in_another_process():
    """As in this one, by function, by dotted path and by decorator; the same process judges the next batch."""
    by_path = isolated("tests.rewards.fragile.slow_lengths")
    judge = Judge([isolated(fragile.lengths), by_path, isolated(fragile.notes), fragile.wrapped])
    assert judge.names == ["lengths", "slow_lengths", "notes", "wrapped"]
    first, rewards = judged(judge)
    assert rewards == [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [None, 0.5, 0.5], [3.0] * 3]
    assert first.columns["process"] == judged(judge)[0].columns["process"] != [os.getpid()] * 3


def test_the_process_has_no_secrets_and_no_devices(monkeypatch):
    """Neither those of the environment nor torch; but what it is given by name."""
    monkeypatch.setenv("MY_SECRET", "x")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    found, _ = judged(Judge(isolated(fragile.notes)))
    assert found.metrics == {"secrets": 0, "devices": 0, "torch": 0}
    found, _ = judged(Judge(isolated(fragile.notes, environment={"A_SECRET": "y"})))
    assert found.metrics["secrets"] == 1


def test_a_process_that_hangs_is_killed_and_replaced(caplog):
    """Its batch counts as not given, others' rewards are there, and the next batch is judged by a new process."""
    judge = Judge([isolated(fragile.hangs_for, timeout=1.0), fragile.lengths])
    with caplog.at_level(logging.WARNING):
        assert judged(judge, seconds=600.0)[1] == [NOTHING, [1.0, 2.0, 3.0]]
    assert "the reward `hangs_for` took longer than 1 s, and its process was killed" in caplog.text
    assert judged(judge)[1] == [[1.0] * 3, [1.0, 2.0, 3.0]]


def test_the_time_of_all_rewards_ends_the_process_too():
    """`reward_timeout` kills a process that hangs, and its place is free for the next one."""
    reward = isolated(fragile.hangs_for)
    judge = Judge(reward)
    assert judged(judge)[1] == [[1.0] * 3]
    first = reward.process
    judge.timeout = 0.5
    assert judged(judge, seconds=600.0)[1] == [NOTHING]
    judge.timeout = None
    assert judged(judge)[1] == [[1.0] * 3]
    deadline = time.monotonic() + 10
    while first.returncode is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert first.returncode == -9


def ended(process, within=15):
    """Whether a process ends in time; one that only waits to be noticed has ended."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout.strip()
        if not state or state.startswith("Z"):
            return True
        time.sleep(0.05)
    return False


def test_what_it_has_started_is_killed_with_it(tmp_path):
    """No process of a judge stays behind."""
    marker = tmp_path / "process"
    reward = isolated(fragile.starts_another, timeout=2.0)
    assert judged(Judge(reward), marker=str(marker))[1] == [NOTHING]
    assert ended(int(marker.read_text()))


def test_it_ends_with_the_trainer():
    """Also if the trainer is killed while the function hangs."""
    script = (
        "import asyncio\n"
        "from sternpost.rewards import isolated\n"
        "from tests.rewards import fragile\n"
        "async def main():\n"
        "    reward = isolated(fragile.hangs_for)\n"
        "    task = asyncio.create_task(reward(completions=['a'], seconds=[600]))\n"
        "    while reward.process is None:\n"
        "        await asyncio.sleep(0.01)\n"
        "    await asyncio.sleep(1)\n"
        "    print(reward.process.pid, flush=True)\n"
        "    await task\n"
        "asyncio.run(main())\n"
    )
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as run:
        worker = int(run.stdout.readline())
        assert not ended(worker, within=0.2)
        run.kill()
    assert ended(worker)


def test_a_process_that_dies_is_replaced_and_the_batch_judged_again(tmp_path, caplog):
    """Killed once, nothing is lost and nothing is said."""
    with caplog.at_level(logging.WARNING):
        assert judged(Judge(isolated(fragile.is_killed_once)), marker=str(tmp_path / "seen"))[1] == [[2.0] * 3]
    assert not caplog.records


def test_a_process_that_dies_again_costs_its_batch(caplog):
    """The log names the reward and how both processes ended; other rewards are there."""
    judge = Judge([isolated(fragile.dies), fragile.lengths])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert judged(judge)[1] == [NOTHING, [1.0, 2.0, 3.0]]
    assert caplog.text.count("the reward `dies` ended its process (exit status 3, then exit status 3)") == 2


def test_errors_of_the_function_are_errors():
    """They name the reward, what it raised and that it was elsewhere."""
    message = r"`raises` failed with RuntimeError: KeyError: 'solution' \(in its own process\)"
    with pytest.raises(RuntimeError, match=message) as raised:
        judged(Judge(isolated(fragile.raises)))
    assert 'raise KeyError("solution")' in "".join(raised.value.__cause__.__notes__)
    with pytest.raises(RuntimeError, match="may return and log numbers, text"):
        judged(Judge(isolated(fragile.returns_objects)))
    with pytest.raises(RuntimeError, match=r"No module named 'tests\.rewards\.nowhere'"):
        judged(Judge(isolated("tests.rewards.nowhere.f")))


def test_what_cannot_be_isolated_is_refused():
    """Functions that no process could import, and what stays in the trainer."""

    def local(completions):
        return [0.0] * len(completions)

    for function in (local, lambda completions: [], "function"):
        with pytest.raises(ValueError, match="another process cannot import"):
            isolated(function)
    with pytest.raises(ValueError, match="asks for `trainer_state`"):
        isolated(fragile.wants_state)
    with pytest.raises(ValueError, match="`timeout=0`"):
        isolated(fragile.lengths, timeout=0)
    with pytest.raises(ValueError, match="`restarts=-1`"):
        isolated(fragile.lengths, restarts=-1)
