"""The data of supervised fine-tuning: rows -> tokens (`prepare`), tokens -> batches (the collators).

rows of any format of `contract.ROWS`
  -> Preparation, one pass, a map batch at a time: check, render, tokenise, mask, truncate
  -> pack_dataset, if rows are packed
  -> input_ids, labels (only where they may differ from input_ids), seq_lengths (only where rows are packed)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from transformers.data.data_collator import DataCollatorMixin

from ..data.batches import IGNORE, pad, positions, real_tokens, round_up
from ..data.chat import ChatRenderer, ProcessingClass, Rendered, render_rows, tokenizer_of
from ..data.packing import pack_dataset
from ..data.rows import RowBatch, shown
from ..data.splits import Outputs, Rows, column_names, map_rows
from ..data.tokenized import integer_rows, token_rows
from ..data.tokens import Encoded, encode
from ..templates import require_generation_markers
from .config import SFTConfig
from .vision import DataCollatorForVisionLanguageModeling

__all__ = ["DataCollatorForLanguageModeling", "DataCollatorForVisionLanguageModeling", "prepare"]

EMPTY = "with fewer than two tokens"
UNLEARNED = "with nothing to learn (no completion or assistant turn, or all labels masked)"
CUT_OFF = "whose learned part lies beyond `max_length`"
REASONS = (EMPTY, UNLEARNED, CUT_OFF)
"""Why a row is dropped."""


def prepare(
    dataset: Rows,
    processing_class: ProcessingClass,
    args: SFTConfig,
    *,
    packing: bool,
    formatting_func: Callable[[dict[str, Any]], str] | None = None,
    name: str = "train",
) -> Rows:
    """The rows of one split as tokens. Rows with images pass unchanged: their collator processes them.

    Raises:
        ValueError, TypeError: a column or a row is malformed (the message names it), or no row is left to learn from.
    """
    columns = column_names(dataset, name)
    if has_images(columns):
        check_images(processing_class, packing, name)
        return dataset
    if (args.dataset_kwargs or {}).get("skip_prepare_dataset"):
        check_tokenized(columns, name)
        return dataset
    step = Preparation.of(columns, processing_class, args, packing, formatting_func, name)
    dataset = map_rows(dataset, step, step.outputs, REASONS, name, args.dataset_num_proc)
    if args.shuffle_dataset and name == "train":
        dataset = dataset.shuffle(seed=args.seed)
    if packing and "seq_lengths" not in columns:
        map_kwargs = (
            {"num_proc": args.dataset_num_proc, "desc": f"Packing {name}"} if isinstance(dataset, Dataset) else {}
        )
        dataset = pack_dataset(dataset, args.max_length, args.packing_strategy, map_kwargs)
    return dataset


def has_images(columns: Sequence[str]) -> bool:
    """Whether rows with these columns go to the vision collator."""
    return "images" in columns or "image" in columns


def check_images(processing_class: ProcessingClass, packing: bool, name: str) -> None:
    if not isinstance(processing_class, ProcessorMixin):
        raise ValueError(
            f"the {name} data set has a column of images, but the `processing_class` is a tokenizer. Pass a processor, or "
            "remove the column."
        )
    if packing:
        raise ValueError(f"the {name} data set has images, and rows with images cannot be packed. Set `packing=False`.")


def check_tokenized(columns: Sequence[str], name: str) -> None:
    if "input_ids" not in columns:
        raise ValueError(
            f"`dataset_kwargs` skips the preparation, but the {name} data set has no column `input_ids`, only "
            f"{', '.join(columns)}. Tokenise it, or leave `skip_prepare_dataset` out."
        )


def format_of(columns: Sequence[str], text_field: str, name: str) -> str:
    """The format of rows with these columns.

    Raises:
        ValueError: no format has only columns that are there.
    """
    if "input_ids" in columns:
        return "tokenized"
    if "prompt" in columns and "completion" in columns:
        return "prompt_completion"
    for column, row_format in (("messages", "messages"), ("conversations", "conversations"), (text_field, "text")):
        if column in columns:
            return row_format
    raise ValueError(
        f"the {name} data set has the columns {', '.join(columns)}, but needs `messages`, `conversations`, `prompt` and "
        f"`completion`, `input_ids`, or `{text_field}`. Rename a column, set `dataset_text_field`, or pass "
        "`formatting_func`."
    )


def check_masks(
    columns: Sequence[str], row_format: str, completion_only: bool, assistant_only: bool, name: str
) -> None:
    """Raise if an option masks what rows of this format do not tell apart."""
    given = row_format == "tokenized" and "labels" in columns
    if completion_only and not given and row_format != "prompt_completion" and "completion_mask" not in columns:
        raise ValueError(
            f"`completion_only_loss=True` needs rows with `prompt` and `completion`, but the {name} data set has the columns "
            f"{', '.join(columns)}. Leave it out, or for conversations set `assistant_only_loss=True`."
        )
    if assistant_only and not given and row_format in ("text", "tokenized") and "assistant_masks" not in columns:
        raise ValueError(
            f"`assistant_only_loss=True` needs conversations, but the {name} data set has the columns {', '.join(columns)}. "
            "Set it to False, or pass rows with `messages`."
        )


def eos_id(tokenizer: PreTrainedTokenizerBase, eos_token: str | None) -> int | None:
    """The id of the token that ends a text: of `eos_token`, else the tokenizer's own, if it has one.

    Raises:
        ValueError: the vocabulary has no `eos_token`.
    """
    if eos_token is None:
        return tokenizer.eos_token_id
    token = tokenizer.get_vocab().get(eos_token)
    if token is None:
        raise ValueError(f"`eos_token={eos_token!r}` is not in the vocabulary. Use one of its tokens, or add it first.")
    return token


@dataclass(frozen=True)
class Preparation:
    """Turns rows of one format into tokens; sent to every worker process."""

    processing_class: ProcessingClass
    format: str
    text_field: str
    eos_id: int | None
    max_length: int | None
    keep_end: bool
    completion_only: bool
    assistant_only: bool
    outputs: tuple[str, ...]
    formatting_func: Callable[[dict[str, Any]], str] | None = None

    @classmethod
    def of(
        cls,
        columns: Sequence[str],
        processing_class: ProcessingClass,
        args: SFTConfig,
        packing: bool,
        formatting_func: Callable[[dict[str, Any]], str] | None,
        name: str,
    ) -> "Preparation":
        """What columns and options say about the rows before any is read.

        Raises:
            ValueError: columns are missing, or an option needs columns or a template that are not there.
        """
        row_format = "text" if formatting_func else format_of(columns, args.dataset_text_field, name)
        tokenized = row_format == "tokenized"
        completion_only = args.completion_only_loss
        if completion_only is None:
            completion_only = row_format == "prompt_completion" or tokenized and "completion_mask" in columns
        check_masks(columns, row_format, completion_only, args.assistant_only_loss, name)
        masked = completion_only or args.assistant_only_loss
        masked = masked or tokenized and ("labels" in columns or "assistant_masks" in columns)
        packed = tokenized and "seq_lengths" in columns
        uncut = packed or packing and args.packing_strategy != "bfd"
        if args.assistant_only_loss and not tokenized:
            require_generation_markers(processing_class)
        return cls(
            processing_class=processing_class,
            format=row_format,
            text_field=args.dataset_text_field,
            eos_id=eos_id(tokenizer_of(processing_class), args.eos_token),
            max_length=None if uncut else args.max_length,
            keep_end=args.truncation_mode == "keep_end",
            completion_only=completion_only,
            assistant_only=args.assistant_only_loss,
            outputs=("input_ids", *["labels"] * masked, *["seq_lengths"] * packed),
            formatting_func=formatting_func,
        )

    def __call__(self, rows: RowBatch) -> tuple[Outputs, list[str | None]]:
        if self.format == "tokenized":
            outputs = self.tokenized(rows)
        elif self.format == "text":
            outputs = {"input_ids": self.text(rows)}
        elif self.format == "prompt_completion":
            outputs = self.prompt_completion(rows)
        else:
            outputs = self.messages(rows)
        return self.cut(outputs)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return tokenizer_of(self.processing_class)

    def text(self, rows: RowBatch) -> list[list[int]]:
        """Texts, each ended."""
        texts = rows.texts(self.text_field) if self.formatting_func is None else self.formatted(rows)
        return [self.ended(ids) for ids in encode(self.tokenizer, texts, special_tokens=True).ids]

    def formatted(self, rows: RowBatch) -> list[str]:
        texts = []
        for at in range(len(rows)):
            text = self.formatting_func(rows.row(at))
            if not isinstance(text, str):
                way_out = "Return the text of one row."
                raise TypeError(f"{rows.place(at)}: `formatting_func` returned {shown(text)}. {way_out}")
            texts.append(text)
        return texts

    def ended(self, ids: list[int]) -> list[int]:
        return ids if self.eos_id is None or ids[-1:] == [self.eos_id] else [*ids, self.eos_id]

    def prompt_completion(self, rows: RowBatch) -> Outputs:
        """Prompts with their completions: texts, ended, or conversations."""
        if isinstance(next(iter(rows.columns["prompt"])), str):
            prompts, completions = rows.texts("prompt"), rows.texts("completion")
            rendered = [Rendered(a + b, len(a)) for a, b in zip(prompts, completions, strict=True)]
            if self.assistant_only:
                raise rows.error(
                    0, "prompt", "`assistant_only_loss=True` needs messages, this is text", "Set it to False."
                )
            encoded = self.encode(rendered, special_tokens=True)
            encoded.ids = [self.ended(ids) for ids in encoded.ids]
        else:
            rendered = self.replies(rows)
            encoded = self.encode(rendered, special_tokens=False)
        return self.labelled(encoded, rendered)

    def replies(self, rows: RowBatch) -> list[Rendered]:
        renderer = ChatRenderer(self.processing_class)
        prompts, completions = rows.chats("prompt"), rows.chats("completion")
        pairs = list(zip(prompts, completions, strict=True))
        return render_rows(
            rows,
            "prompt",
            pairs,
            lambda pair, tools, kwargs: renderer.render_reply(*pair, tools, self.assistant_only, **kwargs),
        )

    def messages(self, rows: RowBatch) -> Outputs:
        """Whole conversations."""
        renderer = ChatRenderer(self.processing_class)

        def render(chat: Any, tools: Any, kwargs: Any) -> Rendered:
            return renderer.render(chat, tools, self.assistant_only, **kwargs)

        rendered = render_rows(rows, self.format, rows.chats(self.format), render)
        return self.labelled(self.encode(rendered, special_tokens=False), rendered)

    def encode(self, rendered: list[Rendered], special_tokens: bool) -> Encoded:
        masked = "labels" in self.outputs
        return encode(self.tokenizer, [row.text for row in rendered], special_tokens, positions=masked)

    def labelled(self, encoded: Encoded, rendered: list[Rendered]) -> Outputs:
        """Ids and, if anything is masked, labels: completion and generated spans, or where both options hold, their overlap."""
        if "labels" not in self.outputs:
            return {"input_ids": encoded.ids}
        labels = []
        for at, row in enumerate(rendered):
            ids = np.asarray(encoded.ids[at])
            learned = encoded.mask(at, row.generated) if self.assistant_only else np.ones(len(ids), dtype=bool)
            if self.completion_only:
                learned[: encoded.first_token(at, row.prompt_end)] = False
            labels.append(np.where(learned, ids, IGNORE))
        return {"input_ids": encoded.ids, "labels": labels}

    def tokenized(self, rows: RowBatch) -> Outputs:
        """Rows that come as tokens: checked, with their masks applied."""
        ids = token_rows(rows, len(self.tokenizer))
        outputs: Outputs = {"input_ids": ids}
        if "labels" in self.outputs:
            outputs["labels"] = masked_labels(rows, ids, len(self.tokenizer), self.completion_only)
        if "seq_lengths" in self.outputs:
            outputs["seq_lengths"] = integer_rows(rows, "seq_lengths", smallest=1, total_of=ids)
        return outputs

    def cut(self, outputs: Outputs) -> tuple[Outputs, list[str | None]]:
        """The rows truncated to `max_length`, and for each why it is dropped, if it is."""
        whole = outputs.get("labels")
        lengths = [len(row) for row in outputs["input_ids"]]
        if self.max_length is not None and max(lengths, default=0) > self.max_length:
            kept = slice(-self.max_length, None) if self.keep_end else slice(self.max_length)
            outputs = {column: [row[kept] for row in values] for column, values in outputs.items()}
        dropped = [EMPTY if length < 2 else None for length in lengths]
        for at, row in enumerate(outputs.get("labels", ())):
            # The first label of a row is never learned: nothing comes before it that could predict it.
            if dropped[at] is None and (row[1:] == IGNORE).all():
                dropped[at] = UNLEARNED if (whole[at][1:] == IGNORE).all() else CUT_OFF
        return outputs, dropped


def masked_labels(rows: RowBatch, ids: list[np.ndarray], vocabulary: int, completion_only: bool) -> list[np.ndarray]:
    """The column `labels`, else the ids, with what the columns `completion_mask` and `assistant_masks` exclude masked."""
    labels = ids
    if "labels" in rows.columns:
        labels = integer_rows(rows, "labels", smallest=IGNORE, largest=vocabulary - 1, like=ids)
    for column in ["completion_mask"] * completion_only + ["assistant_masks"]:
        if column in rows.columns:
            masks = integer_rows(rows, column, smallest=0, largest=1, like=ids)
            labels = [np.where(mask == 1, row, IGNORE) for mask, row in zip(masks, labels, strict=True)]
    return labels


@dataclass
class DataCollatorForLanguageModeling(DataCollatorMixin):
    """Rows of tokens -> one batch: padded on the right, or laid end to end.

    Rows are laid end to end if `padding_free` says so or if they are packed (have `seq_lengths`). Such a batch tells the
    lengths of its documents as a list on the host, and the first label of each is masked.
    """

    pad_token_id: int
    padding_free: bool = False
    return_position_ids: bool = False
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        if self.padding_free or examples[0].get("seq_lengths") is not None:
            return self.end_to_end(examples)
        ids = [example["input_ids"] for example in examples]
        input_ids = pad(ids, self.pad_token_id, self.pad_to_multiple_of)
        attention_mask = real_tokens([len(row) for row in ids], input_ids.size(1))
        labels = pad([labels_of(example) for example in examples], IGNORE, self.pad_to_multiple_of)
        batch = {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
        if self.return_position_ids:
            batch["position_ids"] = torch.arange(input_ids.size(1)) * attention_mask
        return batch

    def end_to_end(self, examples: list[dict[str, Any]]) -> dict[str, Tensor | list[int]]:
        lengths = [int(n) for example in examples for n in example.get("seq_lengths") or [len(example["input_ids"])]]
        total = sum(lengths)
        filler = round_up(total, self.pad_to_multiple_of) - total
        ids = np.concatenate([example["input_ids"] for example in examples] + [np.full(filler, self.pad_token_id)])
        labels = np.concatenate([labels_of(example) for example in examples] + [np.full(filler, IGNORE)])
        lengths += [filler] * (filler > 0)
        labels[np.cumsum(lengths) - lengths] = IGNORE
        return {
            "input_ids": torch.from_numpy(ids.astype(np.int64))[None],
            "labels": torch.from_numpy(labels.astype(np.int64))[None],
            "position_ids": positions(lengths),
            "seq_lengths": lengths,
        }


def labels_of(example: dict[str, Any]) -> Sequence[int]:
    """The labels of a row of tokens, which are its ids if it has none."""
    labels = example.get("labels")
    return example["input_ids"] if labels is None else labels
