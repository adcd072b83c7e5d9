"""Rows with a better and a worse answer -> the tokens that both share, and those of each answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .chat import ChatRenderer, ProcessingClass, Rendered, render_rows, tokenizer_of
from .rows import Chat, RowBatch, shown
from .tokens import Encoded, common_prefix, encode

ANSWERS = ("chosen", "rejected")
MESSAGES_WAY_OUT = "Store both as text, or both as lists of messages."


@dataclass(frozen=True)
class Pair:
    """Ids of the prompt of a row and of its two answers."""

    prompt: Sequence[int]
    chosen: Sequence[int]
    rejected: Sequence[int]


@dataclass(frozen=True)
class PairEncoder:
    """Turns rows with `chosen`, `rejected` and perhaps `prompt` into tokens; sent to every worker process.

    Without a column `prompt`, the prompt is what both answers begin with: messages if they are conversations, else
    tokens. With one, the prompt ends where an answer's first token begins, so that a token that holds the end of the
    prompt and the start of an answer belongs to the answer.
    """

    processing_class: ProcessingClass
    end_token: int | None
    """Closes running text; a chat template closes its own."""

    def __call__(self, rows: RowBatch) -> list[Pair]:
        """The tokens of some rows.

        Raises:
            TypeError: a value is neither text nor a list of messages.
            ValueError: text and messages are mixed, or the template shows a prompt differently once it is answered.
        """
        chat = holds_messages(rows)
        check_kinds(rows, list if chat else str)
        chosen, rejected = self.conversations(rows) if chat else self.texts(rows)
        bounded = chat or "prompt" in rows.columns
        return [self.pair(chosen, rejected, at, bounded) for at in range(len(rows))]

    def texts(self, rows: RowBatch) -> tuple["Branch", "Branch"]:
        """Running text, tokenised together with its prompt and ended."""
        prompts = rows.texts("prompt") if "prompt" in rows.columns else [""] * len(rows)
        return tuple(  # type: ignore[return-value]
            self.branch([Rendered(prompt + answer, len(prompt)) for prompt, answer in zip(prompts, rows.texts(column))])
            for column in ANSWERS
        )

    def conversations(self, rows: RowBatch) -> tuple["Branch", "Branch"]:
        """Conversations, rendered with each answer."""
        chosen, rejected = (rows.chats(column) for column in ANSWERS)
        if "prompt" in rows.columns:
            prompts = rows.chats("prompt")
        else:
            prompts = [shared_messages(rows, at, *pair) for at, pair in enumerate(zip(chosen, rejected))]
            chosen, rejected = (
                [chat[len(prompt) :] for chat, prompt in zip(chats, prompts)] for chats in (chosen, rejected)
            )
        renderer = ChatRenderer(self.processing_class)

        def render(pair: tuple[Chat, Chat], tools: list[Any] | None, options: dict[str, Any]) -> Rendered:
            prompt, answer = pair
            rendered = renderer.render_reply(prompt, answer, tools, **options)
            asked = renderer.render(prompt, tools, **options).text
            if prompt[-1]["role"] != "assistant" and not rendered.text.startswith(asked):
                raise ValueError(
                    f"the prompt alone is not the beginning of the prompt with its answer: {asked!r} and "
                    f"{rendered.text!r}"
                )
            return rendered

        return tuple(  # type: ignore[return-value]
            self.branch(render_rows(rows, column, list(zip(prompts, answers)), render), chat=True)
            for column, answers in zip(ANSWERS, (chosen, rejected))
        )

    def branch(self, rendered: list[Rendered], chat: bool = False) -> "Branch":
        """Prompts with one of their answers as tokens."""
        tokenizer = tokenizer_of(self.processing_class)
        encoded = encode(tokenizer, [row.text for row in rendered], special_tokens=not chat, positions=True)
        starts = [encoded.first_token(at, row.prompt_end) for at, row in enumerate(rendered)]
        if not chat and self.end_token is not None:
            encoded.ids = [ids if ids[-1:] == [self.end_token] else [*ids, self.end_token] for ids in encoded.ids]
        return Branch(encoded, starts)

    def pair(self, chosen: "Branch", rejected: "Branch", at: int, bounded: bool) -> Pair:
        """One row: the prompt is what both sequences share; if `bounded`, at most up to where the answers start."""
        left, right = chosen.encoded.ids[at], rejected.encoded.ids[at]
        shared = common_prefix(left, right)
        if bounded:
            shared = min(shared, chosen.starts[at], rejected.starts[at])
        return Pair(left[:shared], left[shared:], right[shared:])


@dataclass(frozen=True)
class Branch:
    """Prompts with one answer each, and the first token of each answer."""

    encoded: Encoded
    starts: list[int]


def holds_messages(rows: RowBatch) -> bool:
    """Whether the answers are conversations, not text."""
    values = (value for column in (*ANSWERS, "prompt") for value in rows.columns.get(column, ()) if value is not None)
    return isinstance(next(values, None), list)


def check_kinds(rows: RowBatch, kind: type) -> None:
    """Raise if a column holds text where another one holds messages."""
    for column in ("prompt", *ANSWERS):
        for at, value in enumerate(rows.columns.get(column, ())):
            if isinstance(value, str | list) and not isinstance(value, kind):
                expected = "text" if kind is str else "messages"
                problem = f"expected {expected} as in `chosen` of the first row, got {shown(value)}"
                raise rows.error(at, column, problem, MESSAGES_WAY_OUT)


def shared_messages(rows: RowBatch, at: int, chosen: Chat, rejected: Chat) -> Chat:
    """The messages that both conversations begin with.

    Raises:
        ValueError: there are none, or one conversation has nothing else.
    """
    count = next((n for n, (a, b) in enumerate(zip(chosen, rejected)) if a != b), min(len(chosen), len(rejected)))
    if count == 0:
        problem = "the conversations begin with different messages, so that they share no prompt"
        raise rows.error(at, "rejected", problem, "Begin both with the same messages, or add a column `prompt`.")
    if count == len(chosen) == len(rejected):
        count = last_turn(chosen)
    if count == min(len(chosen), len(rejected)):
        column = "chosen" if count == len(chosen) else "rejected"
        raise rows.error(at, column, "the conversation ends where the other one goes on", "Store an answer in both.")
    return chosen[:count]


def last_turn(chat: Chat) -> int:
    """Where the last message of the assistant stands; such a pair of equal conversations is dropped later."""
    return max(len(chat) - 1, 1)


def differ(left: Sequence[int], right: Sequence[int], room: int | None) -> bool:
    """Whether two answers differ within the first `room` tokens."""
    left, right = left[:room], right[:room]
    return len(left) != len(right) or bool((np.asarray(left) != np.asarray(right)).any())
