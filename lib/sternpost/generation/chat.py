"""Conversations in which a model calls tools, as tokens: prompts, and what a chat template puts between two replies.

What was sampled is never rendered again. The template shows a reply that stands in for it, and what it puts behind that
reply (the end of the turn, the results of tools, the opening of the next reply) is all that is taken from it.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jinja2.exceptions import TemplateError

from ..data.chat import ChatRenderer, ProcessingClass, common_start, tokenizer_of
from ..data.rows import Chat
from ..data.tokens import encode
from .replies import parse_reply
from .tools import Schema, ToolCall

logger = logging.getLogger(__name__)

QUESTION: dict[str, Any] = {"role": "user", "content": "?"}
MARK = "stands-in-7d1f"


class ToolChat:
    """A tokenizer's chat template, as far as calling tools needs it.

    Args:
        processing_class: The tokenizer or processor.
        template_kwargs: Arguments for its template.
    """

    def __init__(self, processing_class: ProcessingClass, template_kwargs: dict[str, Any] | None = None) -> None:
        self.renderer = ChatRenderer(processing_class)
        self.tokenizer = tokenizer_of(processing_class)
        self.template_kwargs = template_kwargs or {}

    def prompt(self, messages: Chat, tools: list[Schema], **template_kwargs: Any) -> list[int]:
        """The tokens of a conversation, up to the opening of a reply."""
        text = self.renderer.render_prompt(messages, tools or None, **{**self.template_kwargs, **template_kwargs})
        return encode(self.tokenizer, [text], special_tokens=False).ids[0]

    def between(
        self,
        calls: Sequence[ToolCall],
        results: Sequence[str],
        tools: list[Schema],
        stop: frozenset[int],
        **template_kwargs: Any,
    ) -> list[int]:
        """The tokens between a reply that made some calls, its stop token included, and the reply to their results."""
        text = self.text_between(calls, results, tools, stop, **template_kwargs)
        return encode(self.tokenizer, [text], special_tokens=False).ids[0]

    def text_between(
        self,
        calls: Sequence[ToolCall],
        results: Sequence[str],
        tools: list[Schema],
        stop: frozenset[int],
        **template_kwargs: Any,
    ) -> str:
        """The same as text.

        Raises:
            ValueError: the template leaves out the call.
        """
        kwargs = {**self.template_kwargs, **template_kwargs}
        calls = [replace(call, arguments={"value": MARK} if call is calls[-1] else {}) for call in calls]
        replied: Chat = [
            QUESTION,
            {"role": "assistant", "content": "", "tool_calls": [call.message() for call in calls]},
        ]
        answers = [
            {"role": "tool", "name": call.name, "tool_call_id": call.number, "content": result}
            for call, result in zip(calls, results, strict=True)
        ]
        text = self.renderer.render([*replied, *answers], tools, add_generation_prompt=True, **kwargs).text
        called = text.find(MARK)
        if called < 0:
            raise ValueError("the chat template does not show calls of tools. Use one that does, or no tools.")
        stops = [each for token in sorted(stop) if (each := self.tokenizer.decode([token])).strip()]
        ends = [(end, len(each)) for each in stops if (end := text.find(each, called)) >= 0]
        if ends:
            return text[sum(min(ends)) :]
        return text[common_start(text, self.renderer.render(replied, tools, **kwargs).text.rstrip()) :]

    def check(self, tools: list[Schema], stop: frozenset[int]) -> None:
        """Raise unless the template can show a call and its result, and the call is found again in what it shows.

        Raises:
            ValueError: it cannot; the message says what is missing.
        """
        name, kwargs = tools[0]["function"]["name"], self.template_kwargs
        call = ToolCall(name, {"probe": "3f7a"}, "call00000")
        try:
            result = self.text_between([call], ["result 9c41"], tools, stop)
            prompt = self.renderer.render_prompt([QUESTION], tools, **kwargs)
            reply = {"role": "assistant", "content": "", "tool_calls": [call.message()]}
            both = self.renderer.render([QUESTION, reply], tools, **kwargs).text
            plain = self.renderer.render([QUESTION, {"role": "assistant", "content": MARK}], tools, **kwargs).text
        except (TemplateError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"the chat template cannot show a call of a tool and its result ({type(error).__name__}: {error}). "
                "Use one that can, or no tools."
            ) from error
        if "result 9c41" not in result:
            raise ValueError("the chat template does not show the results of tools. Use one that does, or no tools.")
        start = common_start(both, plain)
        prefix, ids = encode(self.tokenizer, [both[:start], both[start:].rstrip()], special_tokens=False).ids
        found = parse_reply(self.tokenizer, prefix, ids, stop, tools).calls
        if [(each.name, each.arguments, each.problem) for each in found] != [(call.name, call.arguments, None)]:
            raise ValueError(
                f"calls of tools as the chat template writes them cannot be read: of {both[start:]!r}, {found} was "
                "understood. Set the tokenizer's `response_template` (transformers) to what it writes; without one, "
                "JSON between <tool_call> and </tool_call> is read."
            )
        if name not in prompt:
            logger.warning("The chat template does not tell the model which tools there are; its prompts have to.")
        if not both.startswith(prompt):
            logger.warning(
                "The chat template opens a reply with %r and leaves that out once something follows. Training keeps "
                "every token as it was sampled; a conversation that the template renders anew will differ.",
                prompt[common_start(both, prompt) :],
            )
