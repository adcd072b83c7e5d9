"""Pairs with images -> batches. Images are processed when a batch is made, so that their tensors are never stored."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import ProcessorMixin
from transformers.data.data_collator import DataCollatorMixin

from ..data.chat import ChatRenderer, Rendered, render_rows
from ..data.multimodal import image_tokens, images_of, prepare_multimodal_messages
from ..data.pairs import ANSWERS, check_kinds, holds_messages, shared_messages
from ..data.rows import RowBatch
from ..data.tokens import encode

TEXT_KEYS = ("input_ids", "attention_mask", "completion_mask", "token_type_ids", "mm_token_type_ids")
"""What of a batch has one value per token."""


@dataclass
class DataCollatorForVisionPreference(DataCollatorMixin):
    """Rows with images, `chosen`, `rejected` and perhaps `prompt` -> one batch of 2P answers, padded on the right.

    The chosen ones come first, then the rejected ones. Images (`images` or `image`) belong to the prompt.
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
        rendered = self._chats(rows, images) if chat else self._texts(rows)
        batch = dict(
            self.processor(
                images=images * 2 if any(images) else None,
                text=[answer.text for answer in rendered],
                add_special_tokens=not chat,
                padding=True,
                padding_side="right",
                pad_to_multiple_of=self.pad_to_multiple_of,
                return_tensors="pt",
            )
        )
        batch["completion_mask"] = self._answers(rows, rendered, batch, chat)
        return self._cut(rows, batch)

    def _texts(self, rows: RowBatch) -> list[Rendered]:
        """Running text, which must hold the placeholders of its images."""
        prompts = rows.texts("prompt") if "prompt" in rows.columns else [""] * len(rows)
        end = self.processor.tokenizer.eos_token or ""
        return [
            Rendered(prompt + answer.removesuffix(end) + end, len(prompt))
            for column in ANSWERS
            for prompt, answer in zip(prompts, rows.texts(column), strict=True)
        ]

    def _chats(self, rows: RowBatch, images: list[list[Any]]) -> list[Rendered]:
        """Conversations as text, with one placeholder per image."""
        chats = [rows.chats(column) for column in ANSWERS]
        if "prompt" in rows.columns:
            prompts = rows.chats("prompt")
        else:
            prompts = [shared_messages(rows, at, *pair) for at, pair in enumerate(zip(*chats, strict=True))]
            chats = [[chat[len(prompt) :] for chat, prompt in zip(column, prompts)] for column in chats]
        renderer = ChatRenderer(self.processor)

        def render(parts: Any, tools: Any, options: dict[str, Any]) -> Rendered:
            prompt, answer, own_images = parts
            whole = prepare_multimodal_messages(prompt + answer, own_images)
            return renderer.render_reply(whole[: len(prompt)], whole[len(prompt) :], tools, **options)

        return [
            rendered
            for column, answers in zip(ANSWERS, chats, strict=True)
            for rendered in render_rows(rows, column, list(zip(prompts, answers, images, strict=True)), render)
        ]

    def _answers(self, rows: RowBatch, rendered: list[Rendered], batch: dict[str, Any], chat: bool) -> Tensor:
        """`[2P, S]`: 1 for the tokens of the answers, which stand at the end of each row, behind all images.

        Raises:
            ValueError: the processor changes an answer, or an answer holds an image.
        """
        encoded = encode(
            self.processor.tokenizer, [row.text for row in rendered], special_tokens=not chat, positions=True
        )
        mask = torch.zeros_like(batch["attention_mask"])
        for at, row in enumerate(rendered):
            answer = encoded.ids[at][encoded.first_token(at, row.prompt_end) :]
            end = int(batch["attention_mask"][at].sum())
            if batch["input_ids"][at, end - len(answer) : end].tolist() != answer or set(answer) & self._images():
                problem = "the processor changes the answer, or it holds an image, so that its tokens cannot be found"
                raise rows.error(at % len(rows), "images", problem, "Put all images into the prompt.")
            mask[at, end - len(answer) : end] = 1
        return mask

    def _images(self) -> set[int]:
        return set(image_tokens(self.processor))

    def _cut(self, rows: RowBatch, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch truncated to `max_length`.

        Raises:
            ValueError: that would cut an image, or leave nothing of an answer.
        """
        if self.max_length is None or batch["input_ids"].size(1) <= self.max_length:
            return batch
        image = torch.isin(batch["input_ids"], torch.tensor(sorted(self._images())))
        for lost, what in (
            (image[:, self.max_length :].any(dim=1), "the tokens of its images reach"),
            (batch["completion_mask"][:, : self.max_length].sum(dim=1) == 0, "the prompt alone reaches"),
        ):
            if lost.any():
                problem = f"{what} beyond `max_length={self.max_length}`"
                way_out = "Raise it, or make the images smaller."
                raise rows.error(int(lost.int().argmax()) % len(rows), "images", problem, way_out)
        return {key: value[:, : self.max_length] if key in TEXT_KEYS else value for key, value in batch.items()}
