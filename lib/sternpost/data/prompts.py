"""Prompts of rows -> token ids, for methods that generate."""

from collections.abc import Mapping, Sequence
from typing import Any

from .chat import ChatRenderer, tokenizer_of
from .rows import without_none
from .splits import Rows, column_names
from .tokens import encode

IMAGES = ("image", "images")
"""Columns that hold pictures in other methods."""


def check_prompts(
    train_dataset: Rows,
    eval_dataset: Rows | Mapping[str, Rows] | None,
    made_elsewhere: bool = False,
    least: int = 1,
) -> None:
    """Raise unless rows have prompts, if those are not `made_elsewhere`, can be numbered, and are `least` to train on.

    Raises:
        ValueError: the column is missing, there are images, or a data set is a stream or empty.
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
    if len(train_dataset) < least:
        raise ValueError(
            f"the data set has {len(train_dataset)} rows, but a generation batch holds {least} different prompts. Add "
            "rows, or lower `per_device_train_batch_size` or `steps_per_generation`."
        )


class PromptTokenizer:
    """Turns prompts into tokens: text as the tokenizer wraps it, messages as the chat template shows them."""

    def __init__(self, processing_class: Any, template_options: Any = None) -> None:
        self.processing_class, self.options = processing_class, dict(template_options or {})

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
        """Ids of the prompt of each row, whose columns `tools` and `chat_template_kwargs` the template sees.

        Raises:
            ValueError: a prompt is no text and no messages, or has no tokens.
        """
        if not rows:
            return []
        prompts = [checked(row["prompt"], at) for at, row in enumerate(rows)]
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
                raise ValueError(f"row {at} of the batch, column `prompt`: {prompts[at]!r} has no tokens.")
        return found


def checked(prompt: Any, at: int) -> Any:
    """A prompt without the empty fields that data sets put into messages."""
    if not isinstance(prompt, str) and not (isinstance(prompt, list) and prompt):
        raise ValueError(f"row {at} of the batch, column `prompt`: {prompt!r} is neither text nor a list of messages.")
    for message in [] if isinstance(prompt, str) else prompt:
        content = message.get("content") if isinstance(message, Mapping) else None
        kinds = [part.get("type") for part in content] if isinstance(content, list) else []
        if set(kinds) - {"text", None}:
            raise ValueError(
                f"row {at} of the batch, column `prompt`: a message holds {', '.join(map(str, kinds))}, but methods "
                "that generate read text only."
            )
    return without_none(prompt)
