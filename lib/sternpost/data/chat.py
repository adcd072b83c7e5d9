"""Messages -> text, by the chat template of a tokenizer or processor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.utils.chat_template_utils import render_jinja_template

from .formats import is_conversational
from .multimodal import with_typed_content
from .rows import Chat, RowBatch, without_none

ProcessingClass: TypeAlias = PreTrainedTokenizerBase | ProcessorMixin
Span: TypeAlias = tuple[int, int]
"""First character and the one after the last."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as text, where its prompt ends, and what of it the template marks as generated."""

    text: str
    prompt_end: int = 0
    generated: Sequence[Span] = ()


class ChatRenderer:
    """Renders conversations with the template of a tokenizer or processor, or with another one given."""

    def __init__(self, processing_class: ProcessingClass, chat_template: str | None = None) -> None:
        self.templates = {"default": chat_template} if chat_template else chat_templates(processing_class)
        self.special_tokens = tokenizer_of(processing_class).special_tokens_map
        self.typed_content = isinstance(processing_class, ProcessorMixin)

    def render(
        self, messages: Chat, tools: list[Any] | None = None, spans: bool = False, **template_kwargs: Any
    ) -> Rendered:
        """A conversation as text; `spans` asks for what is generated in it."""
        if self.typed_content:
            messages = [with_typed_content(message) for message in messages]
        texts, generated = render_jinja_template(
            conversations=[messages],
            tools=tools,
            chat_template=self.templates["tool_use" if tools and "tool_use" in self.templates else "default"],
            return_assistant_tokens_mask=spans,
            **{**self.special_tokens, **template_kwargs},
        )
        return Rendered(texts[0], generated=generated[0] if spans else ())

    def render_prompt(self, messages: Chat, tools: list[Any] | None = None, **template_kwargs: Any) -> str:
        """The text that a reply continues: a prompt that ends with the assistant is left open."""
        opening = "continue_final_message" if messages[-1]["role"] == "assistant" else "add_generation_prompt"
        return self.render(messages, tools, **{opening: True}, **template_kwargs).text

    def render_reply(
        self, prompt: Chat, reply: Chat, tools: list[Any] | None = None, spans: bool = False, **template_kwargs: Any
    ) -> Rendered:
        """A prompt and its reply. The prompt ends where its own rendering and that of both part."""
        both = self.render(prompt + reply, tools, spans, **template_kwargs)
        end = common_start(both.text, self.render_prompt(prompt, tools, **template_kwargs))
        return Rendered(both.text, end, both.generated)


def common_start(left: str, right: str) -> int:
    """How many leading characters two texts share."""
    if left.startswith(right):
        return len(right)
    return next((at for at, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))


def tokenizer_of(processing_class: ProcessingClass) -> PreTrainedTokenizerBase:
    """The tokenizer itself, or the one inside a processor."""
    return processing_class.tokenizer if isinstance(processing_class, ProcessorMixin) else processing_class


def chat_templates(processing_class: ProcessingClass) -> dict[str, str]:
    """The chat templates by name; a single one is called `default`.

    Raises:
        ValueError: there is none.
    """
    template = processing_class.chat_template or tokenizer_of(processing_class).chat_template
    templates = template if isinstance(template, dict) else {"default": template}
    if not templates.get("default"):
        raise ValueError(
            f"the rows hold messages, but the {type(processing_class).__name__} has no chat template. Set "
            "`chat_template_path` (`sternpost sft`) to a Jinja file or to a tokenizer that has one, or `chat_template` "
            "on the tokenizer itself."
        )
    return templates


def render_rows(
    rows: RowBatch,
    column: str,
    chats: Sequence[Any],
    render: Callable[[Any, list[Any] | None, dict[str, Any]], Rendered],
) -> list[Rendered]:
    """What `render(messages, tools, template_kwargs)` gives for each row.

    Raises:
        ValueError: the template refuses a row; the message says which and why.
    """
    rendered = []
    for at, (chat, tools, kwargs) in enumerate(zip(chats, rows.tools(), rows.template_kwargs(), strict=True)):
        try:
            rendered.append(render(chat, tools, kwargs))
        except (TemplateError, ValueError, TypeError, KeyError, AttributeError) as error:
            way_out = "Correct the row, or give the tokenizer a `chat_template` that accepts it."
            problem = f"the chat template fails with {type(error).__name__}: {error}"
            raise rows.error(at, column, problem, way_out) from error
    return rendered


RENDERED = ("prompt", "chosen", "rejected", "completion", "messages")
FORMATS = (
    {"messages"},
    {"prompt"},
    {"prompt", "completion"},
    {"prompt", "chosen", "rejected"},
    {"chosen", "rejected"},
)
"""Sets of columns that `apply_chat_template` knows."""


def apply_chat_template(
    example: dict[str, Any],
    processing_class: ProcessingClass,
    tools: list[dict[str, Any] | Callable] | None = None,
    **template_kwargs: Any,
) -> dict[str, str]:
    """The conversational columns of a row as text; `messages` becomes `text`, other names stay.

    A prompt ends with the opening of a reply, or is left open if the assistant spoke last. A completion is what follows
    the prompt in the rendering of both.

    Raises:
        ValueError: the columns form none of the supported formats.
    """
    renderer = ChatRenderer(processing_class)
    template_kwargs = {**(example.get("chat_template_kwargs") or {}), **template_kwargs}
    chats = {column: without_none(example[column]) for column in example if column in RENDERED}
    if set(chats) not in FORMATS:
        raise ValueError(
            f"the columns {sorted(chats)} form no known format. Use `messages`, `prompt`, `prompt` + `completion`, "
            "`prompt` + `chosen` + `rejected`, or `chosen` + `rejected`."
        )
    output = {}
    if "messages" in chats:
        output["text"] = renderer.render(chats["messages"], tools, **template_kwargs).text
    replies = [column for column in ("chosen", "rejected", "completion") if column in chats]
    if "prompt" not in chats:
        return output | {column: renderer.render(chats[column], tools, **template_kwargs).text for column in replies}
    prompt = renderer.render_prompt(chats["prompt"], tools, **template_kwargs)
    rendered = {
        column: renderer.render_reply(chats["prompt"], chats[column], tools, **template_kwargs) for column in replies
    }
    end = min([len(prompt), *(reply.prompt_end for reply in rendered.values())])
    output["prompt"] = prompt[:end]
    output |= {column: reply.text[end:] for column, reply in rendered.items()}
    return output | ({"label": example["label"]} if "label" in example else {})


def maybe_apply_chat_template(
    example: dict[str, Any],
    processing_class: ProcessingClass,
    tools: list[dict[str, Any] | Callable] | None = None,
    **template_kwargs: Any,
) -> dict[str, Any]:
    """A conversational row as text (see `apply_chat_template`); another row as it is."""
    if not is_conversational(example):
        return example
    return apply_chat_template(example, processing_class, tools, **template_kwargs)
