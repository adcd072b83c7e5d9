"""Prompts of rows -> token ids, for methods that generate."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from .chat import ChatRenderer, tokenizer_of
from .rows import Chat, Message, RowBatch, shown
from .splits import Rows, column_names
from .tokens import encode

IMAGES = ("image", "images")
"""Columns that hold pictures in other methods."""
BLOCK = 1000
"""Rows that are checked at a time."""
DROP = "Correct the row, or drop it."


def check_prompts(
    train_dataset: Rows,
    eval_dataset: Rows | Mapping[str, Rows] | None,
    made_elsewhere: bool = False,
    least: int = 1,
    read_elsewhere: bool = False,
) -> None:
    """Raise unless rows have prompts, if those are not `made_elsewhere`, can be numbered, and are `least` to train on.
    Prompts that are only `read_elsewhere` may be anything.

    Raises:
        ValueError: the column is missing, there are images, a data set is a stream or empty, or a prompt is empty.
        TypeError: a prompt is neither text nor messages; the message names the row.
    """
    evaluated = eval_dataset if isinstance(eval_dataset, dict) else {"evaluation": eval_dataset}
    for name, rows in {"train": train_dataset, **evaluated}.items():
        if rows is None:
            continue
        columns = column_names(rows, name)
        if "prompt" not in columns and not made_elsewhere:
            raise ValueError(
                f"the {name} data set has the columns {', '.join(columns)}, but needs `prompt`: text or messages."
            )
        images = [column for column in IMAGES if column in columns]
        if images:
            raise ValueError(
                f"the {name} data set has the column `{images[0]}`, but methods that generate read text only. Remove "
                "the column, or rename it if it is for a reward."
            )
        if not hasattr(rows, "__len__"):
            raise ValueError(
                f"the {name} data set is a stream, but prompts are drawn by number, several times each. Keep it: "
                "`Dataset.from_list(list(stream.take(n)))`."
            )
        if not len(rows):
            raise ValueError(f"the {name} data set has no rows.")
        if "prompt" in columns and isinstance(rows, Dataset) and not read_elsewhere:
            check_each_prompt(rows, name, made_elsewhere)
    if len(train_dataset) < least:
        raise ValueError(
            f"the data set has {len(train_dataset)} rows, but a generation batch holds {least} different prompts. Add "
            "rows, or lower `per_device_train_batch_size` or `steps_per_generation`."
        )


def check_each_prompt(dataset: Dataset, name: str, made_elsewhere: bool) -> None:
    """Raise for the first row whose prompt cannot be read.

    Environments (`made_elsewhere`) make prompts where there are none, and add to messages, which may be empty.

    Raises:
        TypeError, ValueError: the message names the row, the value, the reason and the way out.
    """
    if dataset.format["type"] == "custom":  # prompts are made when a row is read
        return
    column = dataset.select_columns("prompt").with_format(None)
    for start in range(0, len(dataset), BLOCK):
        prompts = column[start : start + BLOCK]["prompt"]
        if made_elsewhere:
            given = {start + at: prompt for at, prompt in enumerate(prompts) if prompt is not None}
            rows = RowBatch({"prompt": list(given.values())}, list(given), name)
            for at, chat in enumerate(rows.chats("prompt")):
                check_texts_only(rows, at, chat)
        else:
            read_prompts(RowBatch({"prompt": prompts}, range(start, start + len(prompts)), name))


def read_prompts(rows: RowBatch) -> list[str] | list[Chat]:
    """The prompts of rows, all of them text or all of them messages, without the keys that Arrow filled with None.

    Raises:
        TypeError: one is neither, or a message has no role or no content.
        ValueError: one is empty, or holds something else than text.
    """
    prompts = rows.columns["prompt"]
    for at, prompt in enumerate(prompts):
        if not isinstance(prompt, str | list):
            raise rows.error(at, "prompt", f"expected text or messages, got {shown(prompt)}", DROP, TypeError)
        if not prompt:
            raise rows.error(at, "prompt", f"there is nothing to answer in {shown(prompt)}", DROP)
    if isinstance(prompts[0], str):
        return rows.texts("prompt")
    chats = rows.chats("prompt")
    for at, chat in enumerate(chats):
        check_texts_only(rows, at, chat)
        if not any(map(says_something, chat)):
            raise rows.error(at, "prompt", f"there is nothing to answer in {shown(chat)}", DROP)
    return chats


def check_texts_only(rows: RowBatch, at: int, chat: Chat) -> None:
    """Raise unless the parts of messages are text.

    Raises:
        TypeError: a part is no mapping.
        ValueError: a part is a picture, or something else that is no text.
    """
    for message in chat:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if not isinstance(part, Mapping):
                way_out = 'A part is a mapping like {"type": "text", "text": "..."}.'
                raise rows.error(at, "prompt", f"a part of a message is {shown(part)}", way_out, TypeError)
            if part.get("type") not in ("text", None):
                problem = f"a message holds {part['type']}, but methods that generate read text only"
                raise rows.error(at, "prompt", problem, DROP)


def says_something(message: Message) -> bool:
    """Whether a message holds visible text, or calls of tools."""
    content = message.get("content")
    texts = [part.get("text") for part in content] if isinstance(content, list) else [content]
    visible = any(isinstance(text, str) and text and not text.isspace() for text in texts)
    return visible or bool(message.get("tool_calls"))


class PromptTokenizer:
    """Turns prompts into tokens: text as the tokenizer wraps it, messages as the chat template shows them."""

    def __init__(self, processing_class: Any, template_options: Any = None) -> None:
        self.processing_class, self.options = processing_class, dict(template_options or {})

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
        """Ids of the prompt of each row, whose columns `tools` and `chat_template_kwargs` the template sees.

        Raises:
            ValueError, TypeError: a prompt is no text and no messages, or has no tokens.
        """
        if not rows:
            return []
        batch = RowBatch({"prompt": [row["prompt"] for row in rows]}, range(len(rows)), "batch")
        prompts: list[Any] = [*read_prompts(batch)]
        if isinstance(prompts[0], str):
            found = encode(tokenizer_of(self.processing_class), prompts, special_tokens=True).ids
        else:
            render = ChatRenderer(self.processing_class).render_prompt
            options = [self.options | (row.get("chat_template_kwargs") or {}) for row in rows]
            texts = [
                render(prompt, row.get("tools"), **those)
                for prompt, row, those in zip(prompts, rows, options, strict=True)
            ]
            found = encode(tokenizer_of(self.processing_class), texts, special_tokens=False).ids
        for at, ids in enumerate(found):
            if not ids:
                raise batch.error(at, "prompt", f"{shown(prompts[at])} has no tokens", DROP)
        return found
