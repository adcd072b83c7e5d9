"""Which format a row has, and the conversion of the from/value format to messages."""

from typing import Any

CHAT_COLUMNS = ("prompt", "chosen", "rejected", "completion", "messages", "conversations")
"""Columns that may hold a list of messages, in the order in which they are looked at."""

ROLES = {"human": "user", "gpt": "assistant"}
"""Names of speakers in the from/value format that have another name in the role/content format."""


def is_conversational(example: dict[str, Any]) -> bool:
    """Whether a row holds messages with `role` and `content` in one of the columns of `CHAT_COLUMNS`."""
    return any(has_messages(example.get(column), "role", "content") for column in CHAT_COLUMNS)


def is_conversational_from_value(example: dict[str, Any]) -> bool:
    """Whether the column `conversations` of a row holds messages with `from` and `value`."""
    return has_messages(example.get("conversations"), "from", "value")


def has_messages(value: Any, speaker: str, said: str) -> bool:
    """Whether a value is a list whose first message has the key `speaker`, and `said` or calls of tools."""
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return False
    return speaker in value[0] and (said in value[0] or "tool_calls" in value[0])


def maybe_convert_to_chatml(example: dict[str, Any]) -> dict[str, Any]:
    """The row with its column `conversations` as `messages` with `role` and `content`; other rows as they are.

    The speakers `human` and `gpt` become `user` and `assistant`, which chat templates know.
    """
    converted = {}
    for column, value in example.items():
        if column in CHAT_COLUMNS and has_messages(value, "from", "value"):
            value = [message_from_value(message) for message in value]
        converted["messages" if column == "conversations" else column] = value
    return converted


def message_from_value(message: Any) -> Any:
    """A message with `from` and `value` as one with `role` and `content`; anything else as it is."""
    if not isinstance(message, dict) or message.get("from") is None:
        return message
    rest = {key: value for key, value in message.items() if key not in ("from", "value", "role", "content")}
    speaker = message["from"]
    return {"role": ROLES.get(speaker, speaker), "content": message.get("value"), **rest}
