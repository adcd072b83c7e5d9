"""Calls are made in order within a conversation and side by side across them, and none can hold a run up."""

import asyncio
import threading
import time
from functools import partial
from typing import Any

import pytest

from sternpost.generation.tools import Call, Calls, Outcome, ToolCall, by_name, schema_of


def plus(left: int, right: int = 1) -> int:
    """Adds.

    Args:
        left: One.
        right: The other.
    """
    return left + right


def action(function: Any, **arguments: Any) -> Any:
    return ToolCall(function.__name__, arguments, "call00000").action({function.__name__: function})


def test_a_schema_comes_from_docstring_and_type_hints():
    """As transformers reads them."""
    schema = schema_of(plus)["function"]
    assert (schema["name"], schema["description"]) == ("plus", "Adds.")
    assert schema["parameters"]["required"] == ["left"]


def test_a_function_may_bring_its_schema():
    """For what no docstring can say."""

    def act(**anything: Any) -> None: ...

    act.json_schema = {"type": "function", "function": {"name": "act", "parameters": {"type": "object"}}}
    assert schema_of(act) is act.json_schema


def bare(x: int) -> int:
    return x


def untyped(x):
    """Does something.

    Args:
        x: A thing.
    """


@pytest.mark.parametrize("function", [bare, untyped, lambda x: x])
def test_functions_that_a_model_cannot_be_told_of_are_refused(function):
    """With the name of the function."""
    with pytest.raises(ValueError, match=f"`tools` holds `{function.__name__}`.*docstring"):
        by_name([function])


@pytest.mark.parametrize("wrong", [partial(plus, 1), "plus"])
def test_what_is_no_named_function_is_refused(wrong):
    """A model calls by name."""
    with pytest.raises(ValueError, match="no function with a name"):
        by_name([wrong])


def test_names_are_unique():
    """Two functions of one name are an error."""
    with pytest.raises(ValueError, match="two functions called `plus`"):
        by_name([plus, plus])


def test_results_become_text():
    """Text stays, other values are JSON, and what has no JSON is shown as Python shows it."""
    values = ["as it is", {"a": [1, None]}, 3, None, {1}, "ü", ["ü"]]
    texts = ["as it is", '{"a": [1, null]}', "3", "null", '"{1}"', "ü", '["ü"]']
    assert [Outcome(value).text() for value in values] == texts
    assert Outcome(error=KeyError("x")).text() == "Error: KeyError: 'x'"
    itself: list[Any] = []
    itself.append(itself)
    assert [Outcome(value).text() for value in ({(1, 2): 3}, itself)] == ["{(1, 2): 3}", "[[...]]"]
    broken = [Outcome("a\ud83d"), Outcome(["a\ud83d"]), Outcome(error=ValueError("a\ud83d"))]
    assert [each.text() for each in broken] == ["a?", '["a?"]', "Error: ValueError: a?"]


def test_parts_become_text():
    """As a reward model or a template shows them; images cannot be shown."""
    assert Outcome([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]).text() == "ab"
    assert Outcome([{"type": "city", "name": "Bonn"}]).text() == '[{"type": "city", "name": "Bonn"}]'
    with pytest.raises(TypeError, match="a part of the type 'image'"):
        Outcome([{"type": "text", "text": "a"}, {"type": "image", "image": b""}]).text()


@pytest.mark.parametrize("timeout", [None, 20])
def test_calls_of_a_conversation_follow_one_another(timeout):
    """Sync and async ones mixed; those of other conversations go on meanwhile."""
    seen: list[tuple[str, int]] = []

    async def slow(who: str, at: int) -> int:
        await asyncio.sleep(0.05)
        seen.append((who, at))
        return at

    def quick(who: str, at: int) -> int:
        seen.append((who, at))
        return at

    plan = [[action(slow, who=who, at=0), action(quick, who=who, at=1), action(slow, who=who, at=2)] for who in "abcd"]
    outcomes = Calls(timeout).run([*plan, []])
    assert [[outcome.value for outcome in each] for each in outcomes] == [[0, 1, 2]] * 4 + [[]]
    for who in "abcd":
        assert [at for by, at in seen if by == who] == [0, 1, 2]


def test_asynchronous_calls_run_side_by_side_in_one_loop():
    """Each waits for all others, which works only side by side; the loop stays, for what is opened in it."""
    calls, loops = Calls(), []
    barrier = asyncio.Barrier(8)

    async def meet() -> None:
        loops.append(asyncio.get_running_loop())
        await barrier.wait()

    for _ in range(2):
        outcomes = calls.run([[action(meet)] for _ in range(8)])
        assert [each.error for (each,) in outcomes] == [None] * 8
    assert len(set(loops)) == 1


def test_synchronous_calls_run_here_without_a_timeout():
    """What is not made for threads works; with a time-out each has a thread, and they run side by side."""

    def where() -> int:
        return threading.get_ident()

    assert Calls().run([[action(where)]] * 3) == [[Outcome(threading.get_ident())]] * 3
    barrier = threading.Barrier(4, timeout=20)

    def meet() -> int:
        return barrier.wait() * 0

    assert Calls(30).run([[action(meet)]] * 4) == [[Outcome(0)]] * 4


def test_calls_that_hang_are_given_up(monkeypatch):
    """Synchronous or not, all in the time of one; the others have their results, and an asynchronous one is stopped."""
    stopped = threading.Event()
    never = threading.Event()

    async def waits() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    def hangs() -> None:
        never.wait(60)

    calls, start = Calls(0.3), time.monotonic()
    plan = [[action(hangs)], [action(waits)], [action(hangs), action(plus, left=1)], [action(plus, left=2)]]
    first, second, third, fourth = calls.run(plan)
    assert time.monotonic() - start < 10
    for outcome, *_ in (first, second, third):
        assert outcome.abandoned
        assert outcome.text() == "Error: TimeoutError: it took longer than 0.3 s"
    assert stopped.wait(10)
    assert third[1].value == 2
    assert fourth == [Outcome(3)]
    complaints: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", complaints.append)
    never.set()  # what comes late is not wanted any more, and no error
    for thread in threading.enumerate():
        if thread.name == "sternpost tool":
            thread.join(10)
    assert not complaints


@pytest.mark.parametrize("timeout", [None, 20])
def test_what_calls_raise_is_an_outcome(timeout):
    """Even an exit, and a TimeoutError of their own; nothing is taken for too slow."""

    def leaves() -> None:
        raise SystemExit(3)

    async def late() -> None:
        raise TimeoutError("the server is slow")

    outcomes = Calls(timeout).run([[action(leaves)], [action(late)], [action(plus, up=1)]])
    assert [type(each.error) for (each,) in outcomes] == [SystemExit, TimeoutError, TypeError]
    assert not any(each.abandoned for (each,) in outcomes)


def test_arguments_are_bound_before_the_call():
    """An error in them is not one of the function."""
    assert isinstance(action(plus, left=1, right=2), Call)
    assert Calls().run([[action(plus, right=2)]])[0][0].text() == (
        "Error: TypeError: plus: missing a required argument: 'left'"
    )


def test_a_timeout_has_to_be_positive():
    """Zero seconds are no time."""
    with pytest.raises(ValueError, match="`tool_timeout=0`"):
        Calls(0)
