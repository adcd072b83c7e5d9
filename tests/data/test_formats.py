"""Which rows are conversations, and the from/value format as messages."""

import pytest

from sternpost import is_conversational, is_conversational_from_value, maybe_convert_to_chatml

SAID = [{"role": "user", "content": "a"}]
FROM_VALUE = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "tool", "value": "c"}]


@pytest.mark.parametrize("column", ["prompt", "chosen", "rejected", "completion", "messages", "conversations"])
def test_conversational_columns(column):
    """A list of messages in any of the columns makes a row conversational; text does not."""
    assert is_conversational({"id": 3, column: SAID})
    assert is_conversational({column: [{"role": "assistant", "tool_calls": [{}]}]})
    for value in ("text", None, [], ["text"], [{"role": "user"}], FROM_VALUE):
        assert not is_conversational({column: value})


def test_from_value():
    """Only messages with `from` and `value` under `conversations` count as that format."""
    assert is_conversational_from_value({"conversations": FROM_VALUE})
    for row in ({"conversations": SAID}, {"conversations": "text"}, {"messages": FROM_VALUE}, {"conversations": []}):
        assert not is_conversational_from_value(row)


def test_conversion():
    """`conversations` becomes `messages`, speakers get the names that templates know, other keys and columns stay."""
    row = {"conversations": [*FROM_VALUE, {"from": "user", "value": "d", "weight": 1}], "id": 7}
    assert maybe_convert_to_chatml(row) == {
        "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "tool", "content": "c"},
            {"role": "user", "content": "d", "weight": 1},
        ],
        "id": 7,
    }
    assert row["conversations"][0] == FROM_VALUE[0]


@pytest.mark.parametrize("row", [{"text": "a"}, {"messages": SAID}, {"prompt": "a", "completion": "b"}])
def test_other_rows_stay(row):
    """Rows of other formats come back as they are."""
    assert maybe_convert_to_chatml(row) == row


def test_converts_role_content_conversations():
    """`conversations` that already hold roles are only renamed."""
    assert maybe_convert_to_chatml({"conversations": SAID}) == {"messages": SAID}
