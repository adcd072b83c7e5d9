"""The data of reward modelling: rows -> tokens (`prepare`) -> batches (`DataCollatorForPreference`).

row {prompt, chosen, rejected | chosen, rejected} (+ margin)
  -> chosen_ids, rejected_ids: the prompt with either answer         one pass, a map batch at a time
  -> padded: every sequence in a row of its own, chosen ones first
     or shared: what both sequences of a pair begin with once, then the rest of each, all pairs end to end
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.data.data_collator import DataCollatorMixin

from ..data.batches import RowLengths, pad, positions, real_tokens, round_up
from ..data.chat import ChatRenderer, ProcessingClass, Rendered, render_rows, tokenizer_of
from ..data.multimodal import check_processor, has_images
from ..data.pairs import ANSWERS, check_kinds, differ, holds_messages
from ..data.rows import Chat, RowBatch
from ..data.splits import Outputs, Rows, column_names, map_rows
from ..data.tokenized import integer_rows
from ..data.tokens import common_prefix, encode
from .config import RewardConfig

TOKENS = ("chosen_ids", "rejected_ids")
MARGIN = "margin"
"""Column, and key of a batch, with how much better the chosen answer is."""
EQUAL = "whose answers are equal"
LONG = "longer than `max_length`"
EMPTY = "without a token"
REASONS = (EQUAL, LONG, EMPTY)
"""Why pairs are dropped."""


def prepare(dataset: Rows, processing_class: ProcessingClass, args: RewardConfig, name: str = "train") -> Rows:
    """The pairs of one split as tokens. Rows with images pass unchanged: their collator processes them.

    Raises:
        ValueError, TypeError: a column or a row is malformed (the message names it), or no pair is left.
    """
    columns = column_names(dataset, name)
    if has_images(columns):
        check_processor(processing_class, name)
        return dataset
    if not set(ANSWERS) <= set(columns) and not set(TOKENS) <= set(columns):
        raise ValueError(
            f"the {name} data set has the columns {', '.join(columns)}, but needs `chosen` and `rejected`, and a "
            "`prompt` unless both begin with it. Rename a column."
        )
    step = Preparation(processing_class, tokenizer_of(processing_class).eos_token_id, args.max_length)
    return map_rows(dataset, step, TOKENS, REASONS, name, args.dataset_num_proc, floats=(MARGIN,))


@dataclass(frozen=True)
class Preparation:
    """Turns pairs into tokens; sent to every worker process.

    A reward is that of a whole sequence, so it does not matter where the prompt ends.
    """

    processing_class: ProcessingClass
    end_token: int | None
    """Closes running text; a chat template closes its own."""
    max_length: int | None

    def __call__(self, rows: RowBatch) -> tuple[Outputs, list[str | None]]:
        """The tokens of some rows, and for each why it is dropped, if it is."""
        if set(TOKENS) <= set(rows.columns):
            last = len(tokenizer_of(self.processing_class)) - 1
            outputs: Outputs = {name: list(integer_rows(rows, name, smallest=0, largest=last)) for name in TOKENS}
        else:
            chat = holds_messages(rows)
            check_kinds(rows, list if chat else str)
            sequences = self.conversations if chat else self.texts
            outputs = {name: sequences(rows, column) for name, column in zip(TOKENS, ANSWERS, strict=True)}
        return outputs, [self.reason(*row) for row in zip(*outputs.values(), strict=True)]

    def texts(self, rows: RowBatch, column: str) -> list[list[int]]:
        """Running text, tokenised together with its prompt and ended."""
        texts = rows.texts(column)
        if "prompt" in rows.columns:
            texts = [prompt + answer for prompt, answer in zip(rows.texts("prompt"), texts, strict=True)]
        sequences = encode(tokenizer_of(self.processing_class), texts, special_tokens=True).ids
        if self.end_token is None:
            return sequences
        return [ids if ids[-1:] == [self.end_token] else [*ids, self.end_token] for ids in sequences]

    def conversations(self, rows: RowBatch, column: str) -> list[list[int]]:
        """Conversations, rendered with one of their answers."""
        chats = rows.chats(column)
        if "prompt" in rows.columns:
            chats = [prompt + answer for prompt, answer in zip(rows.chats("prompt"), chats, strict=True)]
        renderer = ChatRenderer(self.processing_class)

        def render(chat: Chat, tools: list[Any] | None, options: dict[str, Any]) -> Rendered:
            return renderer.render(chat, tools, **options)

        texts = [rendered.text for rendered in render_rows(rows, column, chats, render)]
        return encode(tokenizer_of(self.processing_class), texts, special_tokens=False).ids

    def reason(self, chosen: Sequence[int], rejected: Sequence[int]) -> str | None:
        """Why a pair is dropped."""
        if not len(chosen) or not len(rejected):
            return EMPTY
        if not differ(chosen, rejected, None):
            return EQUAL
        longest = max(len(chosen), len(rejected))
        return LONG if self.max_length is not None and longest > self.max_length else None


@dataclass
class DataCollatorForPreference(DataCollatorMixin):
    """Pairs of tokens -> one batch of 2P sequences.

    Padded, each is a row: the chosen ones first, then the rejected ones. With `padding_free`, what the sequences of a
    pair begin with stands once before the rest of the chosen and of the rejected one, the pairs are laid end to end,
    and `seq_lengths` holds the lengths (shared, chosen, rejected) of each pair.
    """

    pad_token_id: int
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    padding_free: bool = False

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        pairs = [tuple(example[name] for name in TOKENS) for example in examples]
        batch = self._shared(pairs) if self.padding_free else self._padded(pairs)
        return batch | margins(examples)

    def _padded(self, pairs: list[tuple[Any, ...]]) -> dict[str, Any]:
        rows = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
        input_ids = pad(rows, self.pad_token_id, self.pad_to_multiple_of)
        return {
            "input_ids": input_ids,
            "attention_mask": real_tokens([len(row) for row in rows], input_ids.size(1)),
        }

    def _shared(self, pairs: list[tuple[Any, ...]]) -> dict[str, Any]:
        ids: list[int] = []
        rows: list[int | tuple[int, ...]] = []
        for chosen, rejected in pairs:
            shared = common_prefix(chosen, rejected)
            ids += [*chosen, *rejected[shared:]]
            rows.append((shared, len(chosen) - shared, len(rejected) - shared))
        filler = round_up(len(ids), self.pad_to_multiple_of) - len(ids)
        lengths: RowLengths = rows + [filler] * (filler > 0)
        return {
            "input_ids": torch.tensor([ids + [self.pad_token_id] * filler]),
            "position_ids": positions(lengths),
            "seq_lengths": lengths,
        }


def margins(examples: list[dict[str, Any]]) -> dict[str, Any]:
    """What a batch holds of the margins of its rows."""
    if examples[0].get(MARGIN) is None:
        return {}
    return {MARGIN: torch.tensor([example[MARGIN] for example in examples], dtype=torch.float32)}
