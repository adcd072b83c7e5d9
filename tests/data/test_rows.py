"""Checked rows: what is right comes through as it is meant, what is wrong is named."""

import json

import pytest
from datasets import Dataset

from sternpost.data.rows import RowBatch, shown, without_none

ASK = {"role": "user", "content": "a"}
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}


def batch(**columns) -> RowBatch:
    count = len(next(iter(columns.values())))
    return RowBatch(columns, list(range(10, 10 + count)), "eval")


def test_texts():
    """Strings come through, the empty one too."""
    assert batch(text=["a", ""]).texts("text") == ["a", ""]


def test_keys_that_arrow_filled_are_gone():
    """A column of mappings with different keys comes back as it was stored."""
    named = CALL | {"content": "", "tool_calls": [{"function": {"name": "h", "arguments": {"z": 2}}}]}
    rows = [
        [ASK, CALL],
        [ASK, named],
        [{"role": "assistant", "tool_calls": [{"function": {"name": "g", "arguments": {"y": "b"}}}]}],
    ]
    stored = Dataset.from_list([{"messages": row} for row in rows])[:]["messages"]
    assert stored != rows
    assert batch(messages=stored).chats("messages") == rows


def test_from_value_messages_are_converted():
    """Messages in the from/value format count as messages, also where Arrow filled the other names."""
    said = [{"from": "human", "value": "a", "role": None, "content": None}]
    assert batch(conversations=[said]).chats("conversations") == [[ASK]]


def test_typed_content():
    """Content as a list of parts is accepted."""
    message = {"role": "user", "content": [{"type": "text", "text": "a", "image": None}]}
    assert batch(messages=[[message]]).chats("messages") == [
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    ]


@pytest.mark.parametrize("tools", [[{"function": {"name": "f"}}], json.dumps([{"function": {"name": "f"}}])])
def test_tools_as_list_or_text(tools):
    """Tools may be a list or the same as JSON; nothing, an empty list and an empty text mean none."""
    given = batch(tools=[tools, None, [], " ", "null"])
    assert given.tools() == [[{"function": {"name": "f"}}], None, None, None, None]
    assert batch(text=["a"]).tools() == [None]


def test_template_kwargs():
    """Options of the template per row; keys without a value are left to the template."""
    given = batch(chat_template_kwargs=[{"think": False, "x": None}, None, '{"a": 1}'])
    assert given.template_kwargs() == [{"think": False}, {}, {"a": 1}]
    assert batch(text=["a"]).template_kwargs() == [{}]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "expected a list of messages, got None"),
        ("hello", "expected a list of messages, got 'hello' (str)"),
        ([], "the conversation has no messages"),
        ([None], "message 0 is None"),
        ([ASK, "hello"], "message 1 is 'hello' (str)"),
        ([{"content": "a"}], "message 0 has the `role` None"),
        ([{"role": 3, "content": "a"}], "message 0 has the `role` 3 (int)"),
        ([ASK, {"role": "assistant", "content": None}], "message 1 (assistant) has the `content` None"),
        ([{"role": "user"}], "message 0 (user) has the `content` None"),
        ([{"role": "user", "content": 7}], "message 0 (user) has the `content` 7 (int)"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "message 0 (assistant) has the `content` None"),
    ],
)
def test_malformed_conversations(value, problem):
    """The error names split, row, column and message, shows the value and the way out."""
    with pytest.raises((TypeError, ValueError)) as raised:
        batch(messages=[[ASK], value]).chats("messages")
    assert str(raised.value).startswith(f"eval row 11, column `messages`: {problem}. ")
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("tools", "[{", "the text '[{' (str) is no JSON"),
        ("tools", 3, "expected a list, got 3 (int)"),
        ("tools", {"name": "f"}, "expected a list, got {'name': 'f'} (dict)"),
        ("chat_template_kwargs", [1], "expected a dict, got [1] (list)"),
    ],
)
def test_malformed_options(column, value, problem):
    """Tools and options of another type, or text that is no JSON, are named."""
    read = RowBatch.tools if column == "tools" else RowBatch.template_kwargs
    with pytest.raises((TypeError, ValueError)) as raised:
        read(batch(**{column: [value]}))
    assert str(raised.value).startswith(f"eval row 10, column `{column}`: {problem}")


def test_text_must_be_text():
    """Any other type is named with its value."""
    with pytest.raises(
        TypeError, match=r"eval row 11, column `text`: expected text, got 3 \(int\). Drop the row or store text"
    ):
        batch(text=["a", 3]).texts("text")


def test_shown_is_one_short_line():
    """Long values are cut, and newlines do not break the line."""
    assert len(shown("a\n" * 500)) < 80
    assert "\n" not in shown("a\n" * 500)


def test_without_none_keeps_items_of_lists():
    """Only keys of mappings are dropped: a list keeps its length."""
    assert without_none({"a": [None, {"b": None, "c": 0}], "d": None}) == {"a": [None, {"c": 0}]}
