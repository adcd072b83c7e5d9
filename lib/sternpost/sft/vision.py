"""Rows with images -> batches. Images are processed when a batch is made, so that their tensors are never stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import ProcessorMixin
from transformers.data.data_collator import DataCollatorMixin

from ..data.batches import IGNORE
from ..data.chat import ChatRenderer, Rendered, render_rows
from ..data.multimodal import image_tokens, images_of, prepare_multimodal_messages
from ..data.rows import RowBatch
from ..data.tokens import encode

TEXT_KEYS = ("input_ids", "attention_mask", "labels", "token_type_ids", "mm_token_type_ids")
"""What of a batch has one value per token."""


@dataclass
class DataCollatorForVisionLanguageModeling(DataCollatorMixin):
    """Rows with `images` or `image`, and messages, prompt and completion, or text -> one batch padded on the right.

    Padding and the places of images are never learned; nor is, with `completion_only_loss`, the prompt, or, with
    `assistant_only_loss`, what the template does not mark as generated.
    """

    processor: ProcessorMixin
    max_length: int | None = None
    completion_only_loss: bool = False
    pad_to_multiple_of: int | None = None
    dataset_text_field: str = "text"
    assistant_only_loss: bool = False
    chat_template: str | None = None
    return_tensors: str = "pt"

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        columns = {column: [example.get(column) for example in examples] for column in examples[0]}
        rows = RowBatch(columns, range(len(examples)), "batch")
        images = [images_of(example) for example in examples]
        chat = is_chat(rows)
        rendered = self._render_chats(rows, images) if chat else self._texts(rows)
        batch = self.processor(
            images=images if any(images) else None,
            text=[row.text for row in rendered],
            add_special_tokens=not chat,
            padding=True,
            padding_side="right",
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_tensors="pt",
        )
        image = torch.isin(batch["input_ids"], torch.tensor(image_tokens(self.processor)))
        learned = batch["attention_mask"].bool() & ~image
        if self.completion_only_loss or self.assistant_only_loss:
            learned &= self._learned(rows, rendered, batch)
        batch["labels"] = batch["input_ids"].where(learned, IGNORE)
        return self._cut(rows, dict(batch), image)

    def _learned(self, rows: RowBatch, rendered: list[Rendered], batch: Mapping[str, Tensor]) -> Tensor:
        """`[B, S]`: which tokens the options let be learned, found in the texts before their images were expanded."""
        texts = [row.text for row in rendered]
        encoded = encode(self.processor.tokenizer, texts, special_tokens=not is_chat(rows), positions=True)
        learned = torch.zeros_like(batch["input_ids"], dtype=torch.bool)
        for at, row in enumerate(rendered):
            everything = np.ones(len(encoded.ids[at]), dtype=bool)
            mask = encoded.mask(at, row.generated) if self.assistant_only_loss else everything
            if self.completion_only_loss:
                mask[: encoded.first_token(at, row.prompt_end)] = False
            expanded = batch["input_ids"][at][batch["attention_mask"][at].bool()].tolist()
            places = places_in(expanded, encoded.ids[at], image_tokens(self.processor))
            if places is None:
                problem = "the processor changes the text around images, so that what is learned cannot be found in it"
                way_out = "Set `completion_only_loss` and `assistant_only_loss` to False."
                raise rows.error(at, "images", problem, way_out)
            learned[at, places[mask]] = True
        return learned

    def _texts(self, rows: RowBatch) -> list[Rendered]:
        """Running text, which must hold the placeholders of its images."""
        if "prompt" not in rows.columns:
            return [Rendered(text) for text in rows.texts(self.dataset_text_field)]
        pairs = zip(rows.texts("prompt"), rows.texts("completion"), strict=True)
        return [Rendered(prompt + completion, len(prompt)) for prompt, completion in pairs]

    def _render_chats(self, rows: RowBatch, images: list[list[Any]]) -> list[Rendered]:
        """Conversations as text, with one placeholder per image."""
        renderer = ChatRenderer(self.processor, self.chat_template)
        column = "messages" if "messages" in rows.columns else "prompt"
        firsts = rows.chats(column)
        replies = rows.chats("completion") if column == "prompt" else [[] for _ in firsts]

        def render(chat: Any, tools: Any, kwargs: Any) -> Rendered:
            first, reply, own_images = chat
            whole = prepare_multimodal_messages(first + reply, own_images)
            if not reply:
                return renderer.render(whole, tools, self.assistant_only_loss, **kwargs)
            first, reply = whole[: len(first)], whole[len(first) :]
            return renderer.render_reply(first, reply, tools, self.assistant_only_loss, **kwargs)

        return render_rows(rows, column, list(zip(firsts, replies, images, strict=True)), render)

    def _cut(self, rows: RowBatch, batch: dict[str, Any], image: Tensor) -> dict[str, Any]:
        """The batch truncated to `max_length`.

        Raises:
            ValueError: that would cut an image.
        """
        if self.max_length is None or batch["input_ids"].size(1) <= self.max_length:
            return batch
        lost = image[:, self.max_length :].any(dim=1)
        if lost.any():
            problem = f"the tokens of its images reach beyond `max_length={self.max_length}`"
            raise rows.error(int(lost.int().argmax()), "images", problem, "Raise it, or make the images smaller.")
        return {key: value[:, : self.max_length] if key in TEXT_KEYS else value for key, value in batch.items()}


def is_chat(rows: RowBatch) -> bool:
    """Whether rows hold messages and not running text."""
    return "messages" in rows.columns or isinstance(next(iter(rows.columns.get("prompt", [None]))), list)


def places_in(expanded: list[int], ids: Sequence[int], image: Sequence[int]) -> np.ndarray | None:
    """For each token of `ids` its place in the same text after the processor put more tokens around and for each image.

    None if the text between images is not found there.
    """
    places = np.zeros(len(ids), dtype=np.int64)
    at = start = 0
    for token in [*[n for n, token in enumerate(ids) if token in image], len(ids)]:
        piece = list(ids[at:token])
        last = token == len(ids)
        found = find(expanded, piece, start, at_end=last)
        if found is None:
            return None
        places[at:token] = np.arange(found, found + len(piece))
        start = found + len(piece)
        if not last:
            places[token] = start
        at = token + 1
    return places


def find(tokens: list[int], piece: list[int], start: int, at_end: bool) -> int | None:
    """Where a piece is found from `start` on, or only at the end."""
    candidates = [len(tokens) - len(piece)] if at_end else range(start, len(tokens) - len(piece) + 1)
    return next((at for at in candidates if at >= start and tokens[at : at + len(piece)] == piece), None)
