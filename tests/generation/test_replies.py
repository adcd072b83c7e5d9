"""Calls are found in what a model wrote, whatever else it wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sternpost.generation.replies import parse_hermes, parse_reply

from .talking import END, call, tokenizer

names = st.text("abc_", min_size=1, max_size=5)
values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists, max_leaves=4)
arguments = st.dictionaries(names, values, max_size=3)
words = st.text(st.characters(exclude_characters="<>"), max_size=20)


@given(st.lists(st.tuples(words, names, arguments), max_size=4), words)
def test_every_call_is_found(calls, rest):
    """With its arguments as they were, and the text around them as the content."""
    text = "".join(before + call(name, **found) for before, name, found in calls) + rest
    reply = parse_hermes(text, text)
    assert [(each.name, each.arguments, each.problem) for each in reply.calls] == [
        (name, found, None) for _, name, found in calls
    ]
    if calls:
        content = "".join(before.rstrip() for before, *_ in calls) + rest
        assert reply.message["content"] == content
        assert [each["function"]["name"] for each in reply.message["tool_calls"]] == [name for _, name, _ in calls]
        assert len({each.number for each in reply.calls}) == len(calls)
        assert all(len(each.number) == 9 for each in reply.calls)
    else:
        assert reply.message == {"role": "assistant", "content": text}


@pytest.mark.parametrize(
    "written",
    ['{"name": "f", "arguments": {"x": 1}}', '{"name": "f", "parameters": {"x": 1}}',
     '{"name": "f", "arguments": "{\\"x\\": 1}"}', '{"function": {"name": "f", "arguments": {"x": 1}}}'],
)  # fmt: skip
def test_ways_to_write_a_call(written):
    """With other names for the arguments, with these as text, or inside of `function`; the end tag may be missing."""
    for end in ("</tool_call>", ""):
        (found,) = parse_hermes(f"<tool_call>\n{written}\n{end}", "").calls
        assert (found.name, found.arguments, found.problem) == ("f", {"x": 1}, None)


@pytest.mark.parametrize(
    "written", ["1", "null", '{"arguments": {}}', '{"name": 3}', '{"name": "f", "arguments": [1]}', '{"function": "f"}']
)
def test_what_is_no_call_has_a_problem(written):
    """It is JSON, but has no name, or its arguments have none."""
    (found,) = parse_hermes(f"<tool_call>{written}</tool_call>", "").calls
    assert "a call needs a name and its arguments" in found.problem


@pytest.mark.parametrize("written", ["[" * 100_000, '{"name": ' + "9" * 10_000 + "}", "{'name': 'f'}", ""])
def test_what_is_no_json_has_a_problem(written):
    """Lists and numbers without an end too, as models write them when they lose their way."""
    (found,) = parse_hermes(f"<tool_call>{written}</tool_call>", "").calls
    assert "the call is no JSON" in found.problem


def test_halves_of_characters_are_replaced():
    """Neither tokenizers nor files take them."""
    (found,) = parse_hermes(
        r'<tool_call>{"name": "f\ud83d", "arguments": {"x\ud83d": ["\ude00"]}}</tool_call>', ""
    ).calls
    assert (found.name, found.arguments) == ("f?", {"x?": ["?"]})


@pytest.mark.parametrize("special", [False, True])
def test_tags_may_be_tokens_of_their_own(special):
    """Special ones too; the stop token and others are not in the content."""
    tags = tokenizer()
    tags.add_tokens(["<tool_call>", "</tool_call>"], special_tokens=special)
    text = "Hm. " + call("f", x=1) + "<|endoftext|><|im_end|>"
    ids = tags(text)["input_ids"]
    reply = parse_reply(tags, [], ids, frozenset({END}), [], first=7)
    assert json.loads(json.dumps(reply.message["tool_calls"])) == [
        {"type": "function", "id": "call00007", "function": {"name": "f", "arguments": {"x": 1}}}
    ]
    assert reply.message["content"] == ("Hm.<|endoftext|>" if special else "Hm.")
    plain = tags("Hm. <|endoftext|><|im_end|>")["input_ids"]
    assert parse_reply(tags, [], plain, frozenset({END}), []).message["content"] == "Hm. "
