"""What a model generated -> a message, and the calls of tools in it.

The tokenizer says how, by its `response_template` (transformers), if it has one. Without one, calls are what stands as
JSON between `<tool_call>` and `</tool_call>`, as Hermes, Qwen 2.5 and Qwen 3 write them. Calls inside of reasoning,
before `</think>`, are none.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from .tools import Schema, ToolCall, printable

CALL = re.compile(r"\s*<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
THOUGHT = "</think>"


@dataclass(frozen=True)
class Reply:
    """A message of the model."""

    message: dict[str, Any]
    calls: list[ToolCall]


def parse_reply(
    tokenizer: PreTrainedTokenizerBase,
    prompt: Sequence[int],
    ids: Sequence[int],
    stop: frozenset[int],
    tools: Sequence[Schema],
    first: int = 0,
) -> Reply:
    """The message of some generated tokens, which follow those of `prompt`; its calls are counted from `first` on."""
    own = ids[:-1] if ids and ids[-1] in stop else ids
    plain = tokenizer.decode(own, skip_special_tokens=True)
    if getattr(tokenizer, "response_template", None) is None:
        # Some tokenizers count the tags of calls as special tokens.
        return parse_hermes(plain if CALL.search(plain) else tokenizer.decode(own), plain, first)
    try:
        message = tokenizer.parse_response(list(ids), prefix=list(prompt), tools=list(tools))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        unreadable = ToolCall("unreadable", {}, numbered(first), f"the reply cannot be read: {error}")
        return Reply({"role": "assistant", "content": plain}, [unreadable])
    calls = [call_of(entry, at) for at, entry in enumerate(message.get("tool_calls") or [], first)]
    made = {"tool_calls": [call.message() for call in calls]} if calls else {}
    return Reply({"role": "assistant", "content": "", **message, **made}, calls)


def parse_hermes(text: str, plain: str, first: int = 0) -> Reply:
    """A reply with calls as JSON between tags; `plain` is the text without special tokens."""
    before, thought, said = text.rpartition(THOUGHT)
    calls = []
    for at, found in enumerate(CALL.finditer(said), first):
        try:
            calls.append(call_of(json.loads(found[1]), at))
        except (ValueError, RecursionError) as error:  # also of numbers and lists without an end
            calls.append(ToolCall("unreadable", {}, numbered(at), f"the call is no JSON: {error}"))
    if not calls:
        return Reply({"role": "assistant", "content": plain}, [])
    content = before + thought + CALL.sub("", said)
    return Reply({"role": "assistant", "content": content, "tool_calls": [call.message() for call in calls]}, calls)


def call_of(entry: Any, at: int) -> ToolCall:
    """A call as templates and models write it: a name and arguments, inside of `function` or not."""
    entry = entry if isinstance(entry, dict) else {}
    entry = entry["function"] if isinstance(entry.get("function"), dict) else entry
    name, arguments = entry.get("name"), entry.get("arguments", entry.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return ToolCall(
                printable(str(name)), {}, numbered(at), f"the arguments are no JSON: {printable(arguments)!r}"
            )
    arguments = {} if arguments is None else arguments
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        way_out = 'write {"name": ..., "arguments": {...}}'
        return ToolCall("unreadable", {}, numbered(at), f"a call needs a name and its arguments by name: {way_out}")
    arguments = json.loads(printable(json.dumps(arguments, ensure_ascii=False)))
    return ToolCall(printable(name), arguments, numbered(at))


def numbered(at: int) -> str:
    """Nine letters and digits, as some templates ask for."""
    return f"call{at:05d}"
