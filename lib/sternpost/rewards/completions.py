"""What reward functions are given: completions as text, or as lists of messages."""

from collections.abc import Sequence
from typing import Any, TypeAlias

Completion: TypeAlias = str | list[dict[str, Any]]


def text_of(completion: Completion) -> str:
    """What a completion says: itself, or the contents of its messages of the assistant, one after the other."""
    if isinstance(completion, str):
        return completion
    said = [message.get("content") for message in completion if message.get("role", "assistant") == "assistant"]
    return "".join(content if isinstance(content, str) else parts_of(content) for content in said)


def parts_of(content: Sequence[Any] | None) -> str:
    """The text of a content that is a list of typed parts."""
    return "".join(part.get("text") or "" for part in content or () if part.get("type") == "text")
