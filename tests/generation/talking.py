"""A tokenizer that shows tools, and a backend that answers what a test says, in text."""

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

from sternpost.generation.backend import Sampling
from tests import tiny

from .scripted import Scripted

CHATML = resources.files("sternpost.templates").joinpath("chatml.jinja").read_text(encoding="utf-8")


def tokenizer(chat_template: str = CHATML) -> Any:
    made = tiny.tokenizer()
    made.chat_template = chat_template
    return made


TOKENIZER = tokenizer()
END = TOKENIZER.eos_token_id


def sampling(max_tokens: int = 400, **options: Any) -> Sampling:
    return Sampling(max_tokens, stop=frozenset({END, TOKENIZER.pad_token_id}), seed=5, **options)


def call(name: str, **arguments: Any) -> str:
    """A call as the model writes it."""
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def speaking(reply: Callable[[str, int], str]) -> Scripted:
    """Replies with `reply(text of the prompt, which of the group)`, and the end of the turn.

    The reply is spelt character by character where it can be: as no tokenizer would encode it, but as a model may.
    """

    def ids(prompt: list[int], member: int) -> list[int]:
        text = reply(TOKENIZER.decode(prompt), member)
        return [TOKENIZER(character)["input_ids"][0] for character in text] + [END]

    return Scripted(ids)


def script(*replies: str) -> Scripted:
    """The first of these to every prompt, then the second to each of its continuations, and so on."""
    return speaking(lambda prompt, member: replies[prompt.count("<|im_start|>assistant") - 1])


def ask(text: str, **columns: Any) -> dict[str, Any]:
    """A row."""
    return {"prompt": [{"role": "user", "content": text}], **columns}
