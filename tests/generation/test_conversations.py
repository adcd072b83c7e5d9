"""Conversations keep every sampled token as it was, mask what tools say, advance side by side and survive failures."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.generation.conversations import Conversations
from sternpost.generation.engine import InProcessEngine
from tests import tiny

from .scripted import Scripted
from .talking import END, TOKENIZER, ask, call, sampling, script, speaking, tokenizer


def add(left: int, right: int) -> int:
    """Adds two numbers.

    Args:
        left: The first.
        right: The second.
    """
    return left + right


def fail(reason: str) -> str:
    """Always raises.

    Args:
        reason: Why.
    """
    raise RuntimeError(reason)


@dataclass
class Talks:
    """Conversations with what draws them."""

    backend: Any
    conversations: Conversations

    def roll_out(self, rows, sampling):
        return self.conversations.roll_out(self.backend, rows, sampling)


def conversations(backend, tools=(add, fail), **options):
    return Talks(backend, Conversations(TOKENIZER, tools, **options))


def said(trajectory):
    return [message["content"] for message in trajectory.messages]


def drawn_text(trajectory):
    return TOKENIZER.decode([token for token, drawn in zip(trajectory.ids, trajectory.drawn) if drawn])


def test_a_call_is_made_and_its_result_shown():
    """The tokens are the reply, what the template puts between, and the next reply; as text, what the template says."""
    (found,) = conversations(script(call("add", left=2, right=3), "5")).roll_out([ask("2+3?")], sampling())
    shown = TOKENIZER.apply_chat_template(
        [
            {"role": "user", "content": "2+3?"},
            {"role": "assistant", "content": call("add", left=2, right=3)},
            {"role": "tool", "content": "5"},
            {"role": "assistant", "content": "5"},
        ],
        tools=[add, fail],
        tokenize=False,
    )
    assert TOKENIZER.decode(found.prompt + found.ids) + "\n" == shown
    assert found.finished
    assert (found.tool_calls, found.tool_failures) == (1, 0)
    assert [message["role"] for message in found.messages] == ["assistant", "tool", "assistant"]
    assert said(found) == ["", "5", "5"]
    assert found.messages[0]["tool_calls"][0]["function"] == {"name": "add", "arguments": {"left": 2, "right": 3}}


@settings(max_examples=25, deadline=None)
@given(
    plans=st.lists(st.lists(st.sampled_from(["add", "fail", "nothing", "broken"]), max_size=3), min_size=1, max_size=4),
    room=st.integers(1, 700),
)
def test_every_sampled_token_is_trained_on_as_it_was_sampled(plans, room):
    """Whatever is called and wherever room ends: drawn tokens are those of the sampler, in order, with what it says."""
    written = {
        "add": call("add", left=1, right=2), "fail": call("fail", reason="no"), "nothing": call("unknown"),
        "broken": "<tool_call>{]</tool_call>",
    }  # fmt: skip

    def reply(prompt, member):
        plan = plans[int(prompt.split("number ")[1][0])]
        turn = prompt.count("<|im_start|>tool")
        return written[plan[turn]] if turn < len(plan) else "done"

    backend = speaking(reply)
    rows = [ask(f"number {at}") for at in range(len(plans))]
    found = conversations(backend).roll_out(rows, sampling(room))
    for plan, trajectory in zip(plans, found, strict=True):
        assert 0 < len(trajectory.ids) <= room
        assert trajectory.drawn[-1]  # nothing is left that no reply follows
        for token, logp, drawn in zip(trajectory.ids, trajectory.logps, trajectory.drawn, strict=True):
            assert logp == (-token / 100 if drawn else 0)
        whole = "".join(written[each] + "<|im_end|>" for each in plan) + "done<|im_end|>"
        assert whole.startswith(drawn_text(trajectory))
        assert trajectory.finished == (drawn_text(trajectory) == whole)
        if trajectory.finished:
            assert trajectory.tool_calls == len(plan)
            assert trajectory.tool_failures == len(plan) - plan.count("add")
    for before, after in zip(backend.calls, backend.calls[1:]):
        heads = [list(group.prompt) for group in before]
        assert all(any(list(group.prompt)[: len(head)] == head for head in heads) for group in after)


def test_conversations_advance_side_by_side():
    """One call of the backend per turn, with those that are still running; equal ones as a group."""

    def reply(prompt, member):
        calls = prompt.count("<|im_start|>tool")
        return call("add", left=calls, right=1) if calls < int(prompt.split("times ")[1][0]) else "done"

    backend = speaking(reply)
    rows = [ask("times 0"), ask("times 2"), ask("times 2"), ask("times 1")]
    found = conversations(backend).roll_out(rows, sampling())
    assert [[group.count for group in groups] for groups in backend.calls] == [[1, 2, 1], [2, 1], [2]]
    assert [trajectory.tool_calls for trajectory in found] == [0, 2, 2, 1]
    assert len({each.seed for each in backend.samplings}) == 3


def test_a_conversation_may_not_be_longer_than_its_room():
    """Each reply has what is left; a result that leaves no room for a reply is not taken on."""
    backend = script(call("add", left=2, right=3), "5")
    (whole,) = conversations(backend).roll_out([ask("2+3?")], sampling(400))
    first, between = whole.drawn.index(False), whole.drawn.count(False)
    assert [group.max_tokens for (group,) in backend.calls] == [400, 400 - first - between]
    (found,) = conversations(backend).roll_out([ask("2+3?")], sampling(first + between))
    assert found.ids == whole.ids[:first]
    assert all(found.drawn)
    assert not found.finished
    assert found.tool_calls == 1
    assert [message["role"] for message in found.messages] == ["assistant"]
    (found,) = conversations(backend).roll_out([ask("2+3?")], sampling(first + between + 1))
    assert found.ids == whole.ids[: first + between + 1]
    assert not found.finished


def test_a_reply_that_was_cut_off_calls_nothing():
    """Even if a call in it is complete."""
    text = call("add", left=2, right=3)
    backend = speaking(lambda prompt, member: text + " and more")
    (found,) = conversations(backend).roll_out([ask("2+3?")], sampling(len(text) + 2))
    assert (found.tool_calls, found.finished) == (0, False)


def test_calls_beyond_the_limit_are_not_made():
    """The conversation ends with the reply that makes them."""
    backend = speaking(lambda prompt, member: call("add", left=1, right=1))
    (found,) = conversations(backend, max_tool_calling_iterations=2).roll_out([ask("2+3?")], sampling(4000))
    assert found.tool_calls == 2
    assert found.finished
    assert len(backend.calls) == 3
    (found,) = conversations(backend).roll_out([ask("2+3?")], sampling(1000))
    assert found.tool_calls > 2


@pytest.mark.parametrize(
    ("written", "error"),
    [
        (call("fail", reason="the disk is full"), "Error: RuntimeError: the disk is full"),
        (call("search", query="x"), "there is no tool 'search'; there are add, fail"),
        (call("add", left=1), "missing a required argument: 'right'"),
        (call("add", left=1, right=2, up=3), "unexpected keyword argument 'up'"),
        ("<tool_call>{'name': 'add'}</tool_call>", "the call is no JSON"),
        ('<tool_call>["add", 1, 2]</tool_call>', "a call needs a name and its arguments"),
        ('<tool_call>{"name": "add", "arguments": "1, 2"}</tool_call>', "the arguments are no JSON"),
    ],
)
def test_what_goes_wrong_is_told_to_the_model(written, error):
    """It counts as a failure, and the conversation goes on."""
    (found,) = conversations(script(written, "sorry")).roll_out([ask("?")], sampling(1000))
    assert error in said(found)[1]
    assert said(found)[1] in TOKENIZER.decode(found.ids)
    assert said(found)[2] == "sorry"
    assert (found.tool_calls, found.tool_failures, found.finished) == (1, 1, True)


def test_several_calls_in_a_reply_are_made_in_order():
    """Each has its own result."""
    calls = call("add", left=1, right=1) + "\n" + call("fail", reason="no") + call("add", left=2, right=2)
    (found,) = conversations(script("Let me see. " + calls, "fine")).roll_out([ask("?")], sampling(2000))
    assert said(found) == ["Let me see.", "2", "Error: RuntimeError: no", "4", "fine"]
    assert (found.tool_calls, found.tool_failures) == (3, 1)


def test_calls_inside_of_reasoning_are_none():
    """A model may think about a call before it makes another."""
    thought = f"<think>maybe {call('fail', reason='x')}</think>"
    (found,) = conversations(script(thought + call("add", left=1, right=1), "2")).roll_out([ask("?")], sampling(1000))
    assert said(found) == [thought, "2", "2"]
    (found,) = conversations(script(thought)).roll_out([ask("?")], sampling(1000))
    assert (found.tool_calls, said(found)) == (0, [thought])


def test_a_row_says_which_tools_its_conversation_has():
    """As schemas, or as JSON text of such; others cannot be called."""
    schema = {"type": "function", "function": {"name": "add", "description": "Sums up.", "parameters": {}}}
    for column in ([schema], json.dumps([schema])):
        backend = script(call("fail", reason="x"), "so be it")
        (found,) = conversations(backend).roll_out([ask("?", tools=column)], sampling(1000))
        assert "Sums up." in TOKENIZER.decode(found.prompt)
        assert "Always raises" not in TOKENIZER.decode(found.prompt)
        assert "there is no tool 'fail'; there are add" in said(found)[1]
    with pytest.raises(ValueError, match=r"batch row 0, column `tools`: there is no function to call for 'search'"):
        conversations(script("")).roll_out([ask("?", tools=[{"function": {"name": "search"}}])], sampling())


def test_template_arguments_of_a_row_come_over_those_of_the_run():
    """They reach the prompt and what stands between replies."""
    template = tokenizer("{{ '<' ~ mood ~ '>' }}" + TOKENIZER.chat_template)
    talks = Talks(
        script(call("add", left=1, right=1), "2"), Conversations(template, [add], None, None, {"mood": "calm"})
    )
    calm, wild = talks.roll_out([ask("?"), ask("?", chat_template_kwargs={"mood": "wild"})], sampling(1000))
    assert TOKENIZER.decode(calm.prompt).startswith("<calm>")
    assert TOKENIZER.decode(wild.prompt).startswith("<wild>")


@pytest.mark.parametrize(
    ("prompt", "error"),
    [("text", "column `prompt`: expected a list of messages"), (None, "no environment that returned one"),
     ([], "the conversation has no messages")],
)  # fmt: skip
def test_prompts_have_to_be_messages(prompt, error):
    """The row is named."""
    with pytest.raises((TypeError, ValueError), match=f"batch row 1.*{error}"):
        conversations(script("")).roll_out([ask("?"), {"prompt": prompt}], sampling())


class Opened(InProcessEngine):
    """The engine, whose first reply is a call."""

    def sample(self, groups, sampling):
        if not any("<|im_start|>tool" in TOKENIZER.decode(list(group.prompt)) for group in groups):
            return script(call("add", left=2, right=3)).sample(groups, sampling)
        return super().sample(groups, sampling)


def test_log_probabilities_are_those_of_the_whole_conversation():
    """With the engine: one forward pass over all tokens gives each drawn one what the sampler said of it."""
    model = tiny.model().eval()
    talks = Talks(Opened(model), Conversations(TOKENIZER, [add]))
    found = talks.roll_out([ask("2+3?"), ask("2+3?"), ask("and 4?")], sampling(150))
    assert len({tuple(each.ids) for each in found}) == 3
    for each in found:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([each.prompt + each.ids])).logits[0, len(each.prompt) - 1 : -1]
        logps = logits.log_softmax(-1).gather(1, torch.tensor(each.ids)[:, None])[:, 0].tolist()
        last = max(at for at, drawn in enumerate(each.drawn) if not drawn) + 1
        assert len(each.ids) == 150 or each.finished
        assert each.logps[last:] == pytest.approx(logps[last:], abs=2e-4)


def test_the_stop_token_is_not_doubled():
    """What was sampled ends a turn; the template's own end is left out."""
    (found,) = conversations(script(call("add", left=1, right=1), "2")).roll_out([ask("?")], sampling(1000))
    assert all(left != END or right != END for left, right in zip(found.ids, found.ids[1:]))


PIECES = [
    "<tool_call>", "</tool_call>", call("add", left=1, right=2), '{"name": "add", "arguments": ', '{"left": 1}', "}",
    '"', "<think>", "</think>", "<|im_start|>tool", "\\ud83d", "é", " stands-in-7d1f ", "\n",
]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=7), min_size=1, max_size=3))
def test_nothing_that_a_model_writes_ends_a_run(replies):
    """Whatever is a call, half a call or none: a conversation of some turns, in which every drawn token is kept."""
    ids = [TOKENIZER("".join(reply), add_special_tokens=False)["input_ids"] + [END] for reply in replies]
    said = []

    def reply(prompt, member):
        said.append(ids[len(said)] if len(said) < len(ids) else [END])
        return said[-1]

    (found,) = conversations(Scripted(reply)).roll_out([ask("?")], sampling(5000))
    assert [token for token, drawn in zip(found.ids, found.drawn) if drawn] == [
        token for each in said for token in each
    ]
    assert found.finished
    assert (found.tool_calls > 0) == (len(said) > 1)
