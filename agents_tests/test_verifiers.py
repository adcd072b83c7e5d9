"""Tasksets of verifiers: tasks are rows, their tools are called, their rewards are what the package says."""

import asyncio
from typing import Any

import pytest
import verifiers.v1 as vf
from tests.generation.talking import TOKENIZER, call, sampling, speaking

from sternpost.generation.conversations import Conversations
from sternpost.generation.environments import Environments
from sternpost.generation.tools import Calls
from sternpost.generation.verifiers import taskset
from sternpost.rewards.judge import Judge


class Data(vf.TaskData):
    secret: int = 0


class Found(vf.State):
    guesses: int = 0


class Guess(vf.Toolset[vf.ToolsetConfig, Found]):
    async def setup_task(self, task: Data) -> None:
        self.secret = task.secret

    @vf.tool
    async def guess(self, number: int, polite: bool = True) -> str:
        """Says whether a number is the secret one."""
        self.state.guesses += 1
        return "right" if number == self.secret else "wrong"


class Sums(vf.Toolset[vf.ToolsetConfig]):
    TOOL_PREFIX = None

    async def setup(self) -> None:
        self.offset = 100

    @vf.tool(name="plus_hundred")
    def add(self, number: int) -> int:
        """Adds a hundred."""
        return number + self.offset


class GuessTask(vf.Task[Data, Found]):
    @classmethod
    def toolsets(cls, config: Any) -> list[vf.Toolset]:
        return [Guess(vf.ToolsetConfig())]

    @vf.reward(weight=2.0)
    async def said_it(self, trace: vf.Trace) -> float:
        return float(str(self.data.secret) in trace.last_reply)

    @vf.reward(weight=-0.25)
    async def guesses(self, trace: vf.Trace) -> float:
        return float(trace.state.guesses)

    @vf.reward(weight=10.0)
    async def turns(self, trace: vf.Trace) -> float:
        answers = [message.content for message in trace.tool_messages]
        return float(trace.num_turns == len(answers) + 1) if answers else 0.0


class Guessing(vf.Taskset[GuessTask]):
    def load(self) -> Any:
        for secret in range(3):
            yield GuessTask(
                Data(prompt=f"Guess, {secret}.", system_prompt="Be quick.", secret=secret), self.config.task
            )

    @classmethod
    def toolsets(cls, config: Any) -> list[vf.Toolset]:
        return [Sums(vf.SharedToolsetConfig())]


class EchoTask(vf.Task[vf.TaskData]):
    @vf.reward
    async def echoed(self, task: vf.TaskData, trace: vf.Trace) -> float:
        return float(trace.last_reply == task.prompt)


class Echo(vf.Taskset[EchoTask]):
    INFINITE = True

    def load(self) -> Any:
        number = 0
        while True:
            yield EchoTask(vf.TaskData(prompt=f"Say {number}"), self.config.task)
            number += 1


def test_a_taskset_with_tools():
    """Its own tools and shared ones, what they remember, and all rewards of a whole conversation."""
    rows, environment, reward = taskset(Guessing(vf.TasksetConfig()))
    assert rows[1]["prompt"] == [
        {"role": "system", "content": "Be quick."}, {"role": "user", "content": "Guess, 1."}
    ]  # fmt: skip
    plans = {
        "0": [call("guess_guess", number=0), "It is 0."],
        "1": [call("guess_guess", number=7), call("plus_hundred", number=1), "It is 7."],
        "2": ["It is 2."],
    }

    def reply(prompt: str, member: int) -> str:
        return plans[prompt.split("Guess, ")[1][0]][prompt.count("<|im_start|>assistant") - 1]

    environments = Environments(environment, Calls())
    judge = Judge(reward, environments=environments.kinds)
    judge.check_columns(rows.column_names)
    for _ in range(2):  # the second time with environments that were used before
        found = Conversations(TOKENIZER, None, environments).roll_out(speaking(reply), rows.to_list(), sampling(3000))
        said = [[turn["content"] for turn in each.messages if turn["role"] == "tool"] for each in found]
        assert said == [["right"], ["wrong", "101"], []]
        assert not any(each.tool_failures for each in found)
        judged = judge(rows.to_list(), found, [each.messages for each in found])
        assert judged.rewards.tolist() == [[2 - 0.25 + 10], [-0.25 + 10], [2.0]]
        assert judged.names == ["GuessTask_reward"]
    prompt = TOKENIZER.decode(found[0].prompt)
    assert "Says whether a number is the secret one." in prompt
    assert '"polite"' in prompt


def test_a_taskset_without_tools():
    """A data set and a reward; one without an end needs a size."""
    rows, environment, reward = taskset(Echo(vf.TasksetConfig()), size=2)
    assert (len(rows), environment) == (2, None)
    completions = [[{"role": "assistant", "content": text}] for text in ("Say 0", "no")]
    assert asyncio.run(reward(prompts=rows["prompt"], completions=completions, entry=[0, 1])) == [1.0, 0.0]
    with pytest.raises(ValueError, match="`size` is missing: Echo never ends"):
        taskset(Echo(vf.TasksetConfig()))


class Boxed(EchoTask):
    NEEDS_CONTAINER = True


class Prepared(EchoTask):
    async def setup(self, trace: Any, runtime: Any) -> None: ...


class Measured(EchoTask):
    @vf.reward
    async def measured(self, runtime: Any) -> float:
        return 0.0


class Stopped(EchoTask):
    @vf.stop
    async def enough(self, trace: vf.Trace) -> bool:
        return False


@pytest.mark.parametrize(
    ("kind", "need"),
    [(Boxed, "a container"), (Prepared, "`setup`"), (Measured, "a runtime for the reward `measured`"),
     (Stopped, "the stop `enough`")],
)  # fmt: skip
def test_what_only_a_harness_can_do_is_refused(kind, need):
    """Before anything is generated, with what it is."""

    class Needy(vf.Taskset[kind]):
        def load(self) -> Any:
            yield kind(vf.TaskData(prompt="?"), self.config.task)

    with pytest.raises(ValueError, match=f"tasks of {kind.__name__} need {need}"):
        taskset(Needy(vf.TasksetConfig()))


def test_tasks_without_a_prompt_are_refused():
    """There is nobody to begin."""

    class Silent(vf.Taskset[EchoTask]):
        def load(self) -> Any:
            yield EchoTask(vf.TaskData(), self.config.task)

    with pytest.raises(ValueError, match="task 0 has no prompt"):
        taskset(Silent(vf.TasksetConfig()))
