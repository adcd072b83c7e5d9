"""Environments are made when needed, reset for every row and used again; one that fails does not take a run down."""

import asyncio
import logging
import threading
from typing import Any

import pytest

from sternpost.generation.conversations import Conversations
from sternpost.generation.environments import ATTEMPTS, Environments
from sternpost.generation.tools import Calls

from .talking import TOKENIZER, ask, call, sampling, script, speaking


class Counter:
    """Counts what it is told to; the tests look at what it was."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.total, self.resets = 0, []

    def reset(self, start: int = 0, **row: Any) -> str:
        self.total = start
        self.resets.append(start)
        return f" Start at {start}."

    def increase(self, by: int) -> str:
        """Counts on.

        Args:
            by: How far.
        """
        if by < 0:
            raise ValueError("only upwards")
        self.total += by
        return str(self.total)

    async def look(self) -> int:
        """Tells the count."""
        await asyncio.sleep(0)
        return self.total

    def get_reward(self) -> float:
        return float(self.total)

    def _hidden(self) -> None:
        raise AssertionError


@pytest.fixture(autouse=True)
def _anew():
    Counter.made = 0


def talks(factory, tools=(), timeout=None, **options):
    return Conversations(TOKENIZER, tools, Environments(factory, Calls(timeout)), **options)


def test_public_methods_are_tools():
    """Without `reset`, `get_reward` and what begins with an underscore; each conversation has its own environment."""
    backend = script(call("increase", by=2), call("look"), "done")
    rows = [ask("Go.", start=start) for start in (0, 10, 20)]
    found = talks(Counter).roll_out(backend, rows, sampling(2000))
    assert [each.environment.total for each in found] == [2, 12, 22]
    assert [[turn["content"] for turn in each.messages][1::2] for each in found] == [["2", "2"], ["12"] * 2, ["22"] * 2]
    assert [each.prompt_messages for each in found] == [
        [{"role": "user", "content": f"Go. Start at {start}."}] for start in (0, 10, 20)
    ]
    prompt = TOKENIZER.decode(found[1].prompt)
    assert "Go. Start at 10." in prompt
    assert "increase" in prompt
    assert not any(name in prompt for name in ("reset", "get_reward", "_hidden"))


def test_environments_are_used_again():
    """As many are made as there are rows at a time; each row finds one that was reset for it."""
    conversations = talks(Counter)
    for count in (2, 3, 1, 3):
        found = conversations.roll_out(script("done"), [ask("Go.", start=at) for at in range(count)], sampling())
        assert len({id(each.environment) for each in found}) == count
        assert [each.environment.resets[-1] for each in found] == list(range(count))
    assert Counter.made == 3


def test_equal_rows_are_read_once():
    """What their environments say is the same, and so is the prompt."""
    backend = script("done")
    talks(Counter).roll_out(backend, [ask("Go.")] * 4, sampling())
    assert [group.count for group in backend.calls[0]] == [4]


class Quiet(Counter):
    def reset(self) -> None:
        self.total = 0


class Parts(Counter):
    def reset(self, **row: Any) -> list[dict[str, str]]:
        return [{"type": "text", "text": " In parts."}]


class Wrong(Counter):
    def reset(self, **row: Any) -> Any:
        return 7


@pytest.mark.parametrize(
    ("kind", "prompt", "opening"),
    [
        (Quiet, [{"role": "user", "content": "Go."}], [{"role": "user", "content": "Go."}]),
        (Counter, None, [{"role": "user", "content": " Start at 0."}]),
        (
            Counter,
            [{"role": "system", "content": "Be brief."}],
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Start at 0."}],
        ),
        (
            Parts,
            [{"role": "user", "content": "Go."}],
            [{"role": "user", "content": [{"type": "text", "text": "Go."}, {"type": "text", "text": " In parts."}]}],
        ),
    ],
)
def test_what_an_environment_says_first(kind, prompt, opening):
    """It stands behind the last message of the user, which is made if there is none."""
    (found,) = talks(kind).roll_out(script("done"), [{"prompt": prompt}], sampling())
    assert found.prompt_messages == opening


def test_wrong_observations_and_missing_prompts_are_named():
    """With the environment or the row."""
    with pytest.raises(TypeError, match="`reset` of the environment `Wrong` returned 7"):
        talks(Wrong).roll_out(script("done"), [ask("Go.")], sampling())
    with pytest.raises(ValueError, match="batch row 0, column `prompt`: there is none"):
        talks(Quiet).roll_out(script("done"), [{"prompt": None}], sampling())


def test_a_column_chooses_the_environment():
    """Each row has the tools of its own."""

    class Mirror:
        def reset(self, **row: Any) -> None:
            assert list(row) == ["prompt"]  # the column that chooses is no business of theirs

        def echo(self, text: str) -> str:
            """Says it again.

            Args:
                text: What.
            """
            return text

    def reply(prompt: str, member: int) -> str:
        if "<|im_start|>tool" in prompt:
            return "done"
        return call("echo", text="hi") if "mirror" in prompt else call("increase", by=1)

    conversations = talks({"count": Counter, "mirror": Mirror})
    rows = [ask("a mirror", environment="mirror"), ask("Go.", environment="count"), ask("Go.", environment="mirror")]
    mirror, count, wrong = conversations.roll_out(speaking(reply), rows, sampling(2000))
    assert [type(each.environment) for each in (mirror, count, wrong)] == [Mirror, Counter, Mirror]
    assert [each.messages[1]["content"] for each in (mirror, count)] == ["hi", "1"]
    assert "there is no tool 'increase'; there are echo" in wrong.messages[1]["content"]
    assert conversations.environments.kinds == [Counter, Mirror]
    with pytest.raises(ValueError, match=r"row 0, column `environment`: 'sea' is not in.*'count', 'mirror'"):
        conversations.roll_out(script("done"), [ask("Go.", environment="sea")], sampling())


def test_a_method_that_raises_is_a_failed_call():
    """The model is told, and the environment is used on."""
    (found,) = talks(Counter).roll_out(script(call("increase", by=-1), "sorry"), [ask("Go.")], sampling(1000))
    assert found.messages[1]["content"] == "Error: ValueError: only upwards"
    assert (found.tool_calls, found.tool_failures, found.finished) == (1, 1, True)


def test_an_environment_that_fails_to_reset_is_replaced(caplog):
    """The run goes on with a new one, and says so; it fails if that does not help, with the environment and the row."""

    class Flaky(Counter):
        wrong = 1

        def reset(self, start: int = 0, **row: Any) -> None:
            if start == 1 and type(self).wrong:
                type(self).wrong -= 1
                raise ConnectionError("the sandbox is gone")
            self.total = start

    conversations, rows = talks(Flaky), [ask("Go.", start=at) for at in range(3)]
    with caplog.at_level(logging.WARNING):
        found = conversations.roll_out(script("done"), rows, sampling())
    assert [each.environment.total for each in found] == [0, 1, 2]
    assert "`Flaky` failed to reset for row 1: ConnectionError: the sandbox is gone" in caplog.text
    Flaky.wrong = ATTEMPTS
    with pytest.raises(RuntimeError, match=r"`Flaky` failed to reset for row 1.*the sandbox is gone.*So did 2 others"):
        conversations.roll_out(script("done"), rows, sampling())
    assert len(conversations.roll_out(script("done"), rows, sampling())) == 3


def test_an_environment_that_hangs_is_not_used_again():
    """Something may still be at work in it."""
    never = threading.Event()

    class Stuck(Counter):
        def wait(self) -> None:
            """Waits."""
            never.wait(60)

    def reply(prompt: str, member: int) -> str:
        return call("wait") if "first" in prompt and "<|im_start|>tool" not in prompt else "done"

    conversations = talks(Stuck, timeout=0.3)
    stuck, fine = conversations.roll_out(speaking(reply), [ask("first"), ask("second")], sampling(1000))
    assert "took longer than 0.3 s" in stuck.messages[1]["content"]
    again = conversations.roll_out(script("done"), [ask("third"), ask("fourth")], sampling())
    assert fine.environment in [each.environment for each in again]
    assert stuck.environment not in [each.environment for each in again]
    never.set()


def test_what_is_opened_in_reset_can_be_used_by_tools():
    """Both run in one event loop."""

    class Bound:
        async def reset(self, **row: Any) -> None:
            self.future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.01, self.future.set_result, "from the loop of reset")

        async def wait(self) -> str:
            """Waits for what reset began."""
            return await self.future

    (found,) = talks(Bound).roll_out(script(call("wait"), "done"), [ask("Go.")], sampling(1000))
    assert found.messages[1]["content"] == "from the loop of reset"


def test_tools_and_environments_go_together():
    """A conversation has both; one name for two things is an error."""

    def double(number: int) -> int:
        """Doubles.

        Args:
            number: What.
        """
        return 2 * number

    def increase(by: int) -> None:
        """Another.

        Args:
            by: How far.
        """

    backend = script(call("double", number=4), call("increase", by=1), "done")
    (found,) = talks(Counter, [double]).roll_out(backend, [ask("Go.", start=2)], sampling(2000))
    assert [turn["content"] for turn in found.messages] == ["", "8", "", "3", "done"]
    with pytest.raises(ValueError, match="increase: one of `tools` and a method of the environment"):
        talks(Counter, [increase])


class WithoutReset:
    pass


class Untold(Counter):
    def act(self, x: int) -> None:
        pass


@pytest.mark.parametrize(
    ("factory", "error"),
    [
        (WithoutReset, "`WithoutReset` has no method `reset`"),
        ({"a": Counter, "b": WithoutReset}, r"`WithoutReset` \('b'\) has no method `reset`"),
        (Untold, r"`Untold` \(each public method is a tool\) holds `act`"),
        ("Counter", "must be something to call"),
        ({}, "must be something to call"),
    ],
)
def test_wrong_environments_are_refused_at_once(factory, error):
    """Before anything is generated."""
    with pytest.raises(ValueError, match=error):
        Environments(factory, Calls())


def test_a_reset_that_takes_other_columns_is_named():
    """It cannot be guessed what it needs."""

    class Greedy(Counter):
        def reset(self, level: int) -> None: ...

    with pytest.raises(ValueError, match="`reset` of the environment `Greedy` does not fit the columns prompt"):
        talks(Greedy).roll_out(script("done"), [ask("Go.")], sampling())


def test_an_environment_without_tools_is_a_single_turn():
    """It judges what was said; no template for tools is needed."""

    class Judge:
        def reset(self, **row: Any) -> None: ...

        def get_reward(self) -> float:
            return 1.0

    (found,) = talks(Judge).roll_out(script("plain"), [ask("Go.")], sampling())
    assert found.messages is None
    assert isinstance(found.environment, Judge)
