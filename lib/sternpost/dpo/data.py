"""The data of preference optimisation: rows -> tokens (`prepare`) -> batches (`DataCollatorForPreference`).

row {prompt, chosen, rejected | chosen, rejected}
  -> prompt_ids, chosen_ids, rejected_ids                          one pass, a map batch at a time
  -> padded: every answer written out behind its prompt, chosen ones first
     or shared: each prompt once, then its two answers, all pairs end to end
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import IterableDataset
from transformers.data.data_collator import DataCollatorMixin

from ..data.batches import RowLengths, pad, positions, real_tokens, round_up
from ..data.chat import ProcessingClass, tokenizer_of
from ..data.multimodal import check_processor, has_images
from ..data.pairs import PairEncoder, differ
from ..data.rows import RowBatch
from ..data.splits import Outputs, Rows, column_names, map_rows
from ..data.tokenized import integer_rows
from .config import DPOConfig

TOKENS = ("prompt_ids", "chosen_ids", "rejected_ids")
REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")
"""Columns, and keys of a batch, with what the reference says about each answer."""
EQUAL = "whose answers are equal"
EQUAL_AFTER_CUT = "whose answers are equal within `max_length`"
LONG_PROMPT = "whose prompt alone fills `max_length`"
EMPTY = "with an empty answer"
REASONS = (EQUAL, EQUAL_AFTER_CUT, LONG_PROMPT, EMPTY)
"""Why pairs are dropped."""


def prepare(dataset: Rows, processing_class: ProcessingClass, args: DPOConfig, name: str = "train") -> Rows:
    """The pairs of one split as tokens. Rows with images pass unchanged: their collator processes them.

    Raises:
        ValueError, TypeError: a column or a row is malformed (the message names it), or no pair is left.
    """
    columns = column_names(dataset, name)
    if has_images(columns):
        check_processor(processing_class, name)
        return dataset
    if not {"chosen", "rejected"} <= set(columns) and not set(TOKENS) <= set(columns):
        raise ValueError(
            f"the {name} data set has the columns {', '.join(columns)}, but needs `chosen` and `rejected`, and a "
            "`prompt` unless both begin with it. Rename a column."
        )
    if len(set(REFERENCE) & set(columns)) == 1:
        raise ValueError(
            f"the {name} data set has only one of the columns {' and '.join(REFERENCE)}. Add the other one, or drop it."
        )
    step = Preparation(
        encoder=PairEncoder(processing_class, tokenizer_of(processing_class).eos_token_id),
        max_length=args.max_length,
        keep_end=args.truncation_mode == "keep_end",
    )
    return map_rows(dataset, step, TOKENS, REASONS, name, args.dataset_num_proc, floats=REFERENCE)


def check_rows(args: DPOConfig, dataset: Rows, columns: list[str]) -> None:
    """Raise for options that rows of this kind do not allow."""
    if has_images(columns) and args.truncation_mode == "keep_end" and args.max_length is not None:
        raise ValueError(
            '`truncation_mode="keep_end"` would cut the images off, which come first. Use "keep_start", or '
            "`max_length=None`."
        )
    if args.precompute_ref_log_probs:
        check_precomputable(dataset, columns, "train")


def check_precomputable(dataset: Rows, columns: list[str], name: str) -> None:
    """Raise for rows that the reference's log-probabilities cannot be stored with."""
    what = "images" if has_images(columns) else "a stream" if isinstance(dataset, IterableDataset) else None
    if what:
        raise ValueError(
            f"`precompute_ref_log_probs=True` needs rows of text in memory, but the {name} pairs are {what}. Leave it "
            "out."
        )


@dataclass(frozen=True)
class Preparation:
    """Turns pairs into tokens; sent to every worker process."""

    encoder: PairEncoder
    max_length: int | None
    keep_end: bool

    def __call__(self, rows: RowBatch) -> tuple[Outputs, list[str | None]]:
        """The tokens of some rows, and for each why it is dropped, if it is."""
        if set(TOKENS) <= set(rows.columns):
            last = len(tokenizer_of(self.encoder.processing_class)) - 1
            outputs: Outputs = {name: list(integer_rows(rows, name, smallest=0, largest=last)) for name in TOKENS}
        else:
            pairs = self.encoder(rows)
            columns = ([pair.prompt for pair in pairs], [p.chosen for p in pairs], [p.rejected for p in pairs])
            outputs = dict(zip(TOKENS, columns, strict=True))
        return outputs, [self.reason(*row) for row in zip(*outputs.values(), strict=True)]

    def reason(self, prompt: Sequence[int], chosen: Sequence[int], rejected: Sequence[int]) -> str | None:
        """Why a pair is dropped."""
        if not differ(chosen, rejected, None):
            return EQUAL
        if not len(chosen) or not len(rejected):
            return EMPTY
        if self.max_length is None:
            return None
        if self.keep_end:
            same = not differ(chosen[-self.max_length :], rejected[-self.max_length :], None)
            return EQUAL_AFTER_CUT if same else None
        room = self.max_length - len(prompt)
        if room <= 0:
            return LONG_PROMPT
        return None if differ(chosen, rejected, room) else EQUAL_AFTER_CUT


@dataclass
class DataCollatorForPreference(DataCollatorMixin):
    """Pairs of tokens -> one batch of 2P answers: the chosen ones first, then the rejected ones.

    Padded, each answer is written out behind its prompt. With `padding_free`, each prompt stands once before its two
    answers, the pairs are laid end to end, and `seq_lengths` holds (prompt, chosen, rejected) of each pair.
    """

    pad_token_id: int
    max_length: int | None = None
    truncation_mode: str = "keep_start"
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    padding_free: bool = False

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        pairs = [self._cut(*(list(example[name]) for name in TOKENS)) for example in examples]
        batch = self._shared(pairs) if self.padding_free else self._padded(pairs)
        for name in REFERENCE:
            if examples[0].get(name) is not None:
                batch[name] = torch.tensor([example[name] for example in examples], dtype=torch.float32)
        return batch

    def _cut(self, prompt: list[int], *answers: list[int]) -> list[tuple[list[int], list[int]]]:
        """Prompt and answer, for both answers, within `max_length`."""
        if self.max_length is None:
            return [(prompt, answer) for answer in answers]
        if self.truncation_mode == "keep_start":
            kept = prompt[: self.max_length]
            return [(kept, answer[: self.max_length - len(kept)]) for answer in answers]
        cut = []
        for answer in answers:
            answer = answer[-self.max_length :]
            room = self.max_length - len(answer)
            cut.append((prompt[len(prompt) - min(room, len(prompt)) :], answer))
        return cut

    def _padded(self, pairs: list[list[tuple[list[int], list[int]]]]) -> dict[str, Any]:
        rows = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
        input_ids = pad([prompt + answer for prompt, answer in rows], self.pad_token_id, self.pad_to_multiple_of)
        masks = [[0] * len(prompt) + [1] * len(answer) for prompt, answer in rows]
        return {
            "input_ids": input_ids,
            "attention_mask": real_tokens([len(mask) for mask in masks], input_ids.size(1)),
            "completion_mask": pad(masks, 0, self.pad_to_multiple_of),
        }

    def _shared(self, pairs: list[list[tuple[list[int], list[int]]]]) -> dict[str, Any]:
        ids: list[int] = []
        mask: list[int] = []
        lengths: list[Any] = []
        for (prompt, chosen), (other, rejected) in pairs:
            if prompt != other:  # `keep_end` leaves each answer as much of the prompt as fits: nothing is shared
                both: list[tuple[list[int], ...]] = [([], prompt, chosen), ([], other, rejected)]
                lengths.append((0, len(prompt) + len(chosen), len(other) + len(rejected)))
            else:
                both = [(prompt, [], chosen), ([], [], rejected)]
                lengths.append((len(prompt), len(chosen), len(rejected)))
            for shared, own, answer in both:
                ids += shared + own + answer
                mask += [0] * len(shared + own) + [1] * len(answer)
        filler = round_up(len(ids), self.pad_to_multiple_of) - len(ids)
        rows: RowLengths = lengths + [filler] * (filler > 0)
        return {
            "input_ids": torch.tensor([ids + [self.pad_token_id] * filler]),
            "position_ids": positions(rows),
            "completion_mask": torch.tensor([mask + [0] * filler]),
            "seq_lengths": rows,
        }
