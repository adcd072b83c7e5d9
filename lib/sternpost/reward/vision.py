"""Pairs with images -> batches. Images are processed when a batch is made, so that their tensors are never stored."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import ProcessorMixin
from transformers.data.data_collator import DataCollatorMixin

from ..data.chat import ChatRenderer, Rendered, render_rows
from ..data.multimodal import images_of, prepare_multimodal_messages
from ..data.pairs import ANSWERS, check_kinds, holds_messages
from ..data.rows import RowBatch
from .data import MARGIN


@dataclass
class DataCollatorForVisionPreference(DataCollatorMixin):
    """Rows with images, `chosen`, `rejected` and perhaps `prompt` -> one batch of 2P sequences, padded on the right.

    The chosen ones come first, then the rejected ones. Both have the images of their row (`images` or `image`).
    """

    processor: ProcessorMixin
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        columns = {column: [example.get(column) for example in examples] for column in examples[0]}
        rows = RowBatch(columns, range(len(examples)), "batch")
        images = [images_of(example) for example in examples]
        chat = holds_messages(rows)
        check_kinds(rows, list if chat else str)
        batch = dict(
            self.processor(
                images=images * 2 if any(images) else None,
                text=self._chats(rows, images) if chat else self._texts(rows),
                add_special_tokens=not chat,
                padding=True,
                padding_side="right",
                pad_to_multiple_of=self.pad_to_multiple_of,
                return_tensors="pt",
            )
        )
        self._check_lengths(rows, batch["attention_mask"].sum(1).tolist())
        if MARGIN in columns:
            batch[MARGIN] = torch.tensor(rows.finite_numbers(MARGIN), dtype=torch.float32)
        return batch

    def _texts(self, rows: RowBatch) -> list[str]:
        """Running text, which must hold the placeholders of its images."""
        prompts = rows.texts("prompt") if "prompt" in rows.columns else [""] * len(rows)
        end = self.processor.tokenizer.eos_token or ""
        return [
            prompt + answer.removesuffix(end) + end
            for column in ANSWERS
            for prompt, answer in zip(prompts, rows.texts(column), strict=True)
        ]

    def _chats(self, rows: RowBatch, images: list[list[Any]]) -> list[str]:
        """Conversations as text, with one placeholder per image."""
        renderer = ChatRenderer(self.processor)

        def render(parts: Any, tools: Any, options: dict[str, Any]) -> Rendered:
            chat, own_images = parts
            return renderer.render(prepare_multimodal_messages(chat, own_images), tools, **options)

        prompts = rows.chats("prompt") if "prompt" in rows.columns else [[] for _ in range(len(rows))]
        return [
            rendered.text
            for column in ANSWERS
            for rendered in render_rows(
                rows,
                column,
                [(prompt + chat, own) for prompt, chat, own in zip(prompts, rows.chats(column), images, strict=True)],
                render,
            )
        ]

    def _check_lengths(self, rows: RowBatch, lengths: list[int]) -> None:
        """Raise if a sequence is too long: known only now, when the pair cannot be dropped any more."""
        for at, length in enumerate(lengths):
            if self.max_length is not None and length > self.max_length:
                column, row = ANSWERS[at // len(rows)], at % len(rows)
                problem = f"{length} tokens with prompt and images, more than `max_length={self.max_length}`"
                raise rows.error(row, column, problem, "Raise it, make the images smaller, or drop the row.")
