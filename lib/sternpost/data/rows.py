"""Columns of a data set -> checked Python values. What is wrong is said with split, row number and column."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .formats import message_from_value

Message = dict[str, Any]
Chat = list[Message]


@dataclass
class RowBatch:
    """Some rows of one split: columns of equal length, and the numbers of the rows in that split."""

    columns: Mapping[str, Sequence[Any]]
    numbers: Sequence[int]
    split: str

    def __len__(self) -> int:
        return len(self.numbers)

    def error(self, at: int, column: str, problem: str, way_out: str, kind: type[Exception] = ValueError) -> Exception:
        """The error to raise for the row at position `at` of this batch."""
        return kind(f"{self.place(at)}, column `{column}`: {problem}. {way_out}")

    def place(self, at: int) -> str:
        return f"{self.split} row {self.numbers[at]}"

    def row(self, at: int) -> dict[str, Any]:
        """All columns of one row."""
        return {column: self.columns[column][at] for column in self.columns}

    def texts(self, column: str) -> list[str]:
        """A column of strings.

        Raises:
            TypeError: a value is no string.
        """
        values = list(self.columns[column])
        for at, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(
                    at, column, f"expected text, got {shown(value)}", "Drop the row or store text.", TypeError
                )
        return values

    def finite_numbers(self, column: str) -> list[float]:
        """A column of numbers.

        Raises:
            TypeError: a value is no number.
            ValueError: a value is infinite or not a number.
        """
        values = list(self.columns[column])
        for at, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self.error(at, column, f"expected a number, got {shown(value)}", "Store one per row.", TypeError)
            if not math.isfinite(value):
                raise self.error(at, column, f"expected a finite number, got {value}", "Drop the row or correct it.")
        return [float(value) for value in values]

    def chats(self, column: str, empty: bool = False) -> list[Chat]:
        """A column of conversations, without the keys that Arrow filled with None.

        Raises:
            TypeError: a value is no list of messages, or a message is no mapping with `role` and `content`.
            ValueError: a conversation without messages, unless `empty` allows it.
        """
        return [self.chat(at, column, value, empty) for at, value in enumerate(self.columns[column])]

    def chat(self, at: int, column: str, value: Any, empty: bool = False) -> Chat:
        if not isinstance(value, list):
            way_out = 'Store a list like [{"role": "user", "content": "..."}].'
            raise self.error(at, column, f"expected a list of messages, got {shown(value)}", way_out, TypeError)
        if not value and not empty:
            raise self.error(at, column, "the conversation has no messages", "Drop the row.")
        return [self.message(at, column, turn, message) for turn, message in enumerate(value)]

    def message(self, at: int, column: str, turn: int, message: Any) -> Message:
        where = f"message {turn}"
        if not isinstance(message, dict):
            way_out = 'A message is a mapping like {"role": "user", "content": "..."}.'
            raise self.error(at, column, f"{where} is {shown(message)}", way_out, TypeError)
        if message.get("role") is None:
            message = message_from_value(message)
        filled = {key: value for key, value in message.items() if value is not None}
        role, content = filled.get("role"), filled.get("content")
        if not isinstance(role, str):
            way_out = "Name who speaks, for example system, user, assistant or tool."
            raise self.error(at, column, f"{where} has the `role` {shown(role)}", way_out, TypeError)
        if isinstance(content, str):
            return filled if len(filled) == 2 else without_none(filled)
        if isinstance(content, list) or (content is None and filled.get("tool_calls")):
            return without_none(filled)
        way_out = "Write what is said, or drop the row; only a message with `tool_calls` may have no content."
        raise self.error(at, column, f"{where} ({role}) has the `content` {shown(content)}", way_out, TypeError)

    def tools(self) -> list[list[Any] | None]:
        """The column `tools`: per row the functions that the model may call, as a list or as JSON text.

        Raises:
            TypeError: a value is no list.
            ValueError: a text is no JSON.
        """
        if "tools" not in self.columns:
            return [None] * len(self)
        return [self.json_value(at, "tools", value, list) for at, value in enumerate(self.columns["tools"])]

    def template_kwargs(self) -> list[dict[str, Any]]:
        """The column `chat_template_kwargs`: per row what its chat template gets besides the messages."""
        if "chat_template_kwargs" not in self.columns:
            return [{}] * len(self)
        column = "chat_template_kwargs"
        return [self.json_value(at, column, value, dict) or {} for at, value in enumerate(self.columns[column])]

    def json_value(self, at: int, column: str, value: Any, kind: type) -> Any:
        way_out = f"Store a {kind.__name__}, the same as JSON text, or nothing."
        if isinstance(value, str):
            try:
                value = json.loads(value) if value.strip() else None
            except json.JSONDecodeError as error:
                raise self.error(at, column, f"the text {shown(value)} is no JSON ({error})", way_out) from error
        if value is not None and not isinstance(value, kind):
            raise self.error(at, column, f"expected a {kind.__name__}, got {shown(value)}", way_out, TypeError)
        return without_none(value) or None


def without_none(value: Any) -> Any:
    """The same value without the keys that hold None: Arrow gives every mapping in a column the keys of all of them."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value


def shown(value: Any) -> str:
    """A value as an error message shows it: cut to a line, with its type."""
    if value is None:
        return "None"
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
