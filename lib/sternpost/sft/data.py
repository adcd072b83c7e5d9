"""The data of supervised fine-tuning: rows -> tokens (`prepare`) -> batches (`DataCollatorForLanguageModeling`).

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
from transformers import PreTrainedTokenizerBase
from transformers.data.data_collator import DataCollatorMixin

from ..data.batches import IGNORE, pad, positions, real_tokens, round_up
from ..data.chat import ChatRenderer, ProcessingClass, Rendered, render_rows, tokenizer_of
from ..data.multimodal import check_processor, has_images
from ..data.packing import pack_dataset
from ..data.rows import Chat, RowBatch, shown
from ..data.splits import Outputs, Rows, column_names, map_rows
from ..data.tokenized import MASKS, apply_masks, integer_rows
from ..data.tokens import Encoded, encode, end_token
from ..templates import check_generation_markers
from .config import SFTConfig

EMPTY = "with fewer than two tokens"
UNLEARNED = "with nothing to learn: no completion, no assistant turn, or all labels masked"
CUT_OFF = "with nothing to learn within `max_length`: the prompt alone is longer"
REASONS = (EMPTY, UNLEARNED, CUT_OFF)
"""Why rows are dropped."""

FormattingFunc = Callable[[dict[str, Any]], str]


def prepare(
    dataset: Rows,
    processing_class: ProcessingClass,
    args: SFTConfig,
    *,
    packing: bool,
    formatting_func: FormattingFunc | None = None,
    name: str = "train",
) -> Rows:
    """The rows of one split as tokens. Rows with images pass unchanged: their collator processes them.

    Raises:
        ValueError, TypeError: a column or a row is malformed (the message names it), or no row is left to learn from.
    """
    columns = column_names(dataset, name)
    if passes_unchanged(columns, processing_class, args, packing, name):
        return dataset
    step = Preparation.of(columns, processing_class, args, packing, formatting_func, name)
    dataset = map_rows(dataset, step, step.outputs, REASONS, name, args.dataset_num_proc)
    if args.shuffle_dataset and name == "train":
        dataset = dataset.shuffle(seed=args.seed)
    if packing and args.max_length is not None and "seq_lengths" not in step.outputs:
        options = {"num_proc": args.dataset_num_proc, "desc": f"Packing {name}"} if isinstance(dataset, Dataset) else {}
        dataset = pack_dataset(dataset, args.max_length, args.packing_strategy, options)
    return dataset


def passes_unchanged(
    columns: Sequence[str], processing_class: ProcessingClass, args: SFTConfig, packing: bool, name: str
) -> bool:
    """Whether rows are left as they are, because of their images or of `skip_prepare_dataset`.

    Raises:
        ValueError: they cannot be, because a processor or the tokens are missing, or because images are to be packed.
    """
    if has_images(columns):
        check_processor(processing_class, name)
        if packing:
            raise ValueError(f"the {name} data set has images, and such rows cannot be packed. Set `packing=False`.")
        return True
    if not (isinstance(args.dataset_kwargs, dict) and args.dataset_kwargs.get("skip_prepare_dataset")):
        return False
    if "input_ids" not in columns:
        raise ValueError(
            f"`dataset_kwargs` skips the preparation, but the {name} data set has no column `input_ids`, only "
            f"{', '.join(columns)}. Tokenise it, or leave `skip_prepare_dataset` out."
        )
    return True


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
        f"the {name} data set has the columns {', '.join(columns)}, but needs `messages`, `conversations`, `prompt` "
        f"and `completion`, `input_ids`, or `{text_field}`. Rename a column, set `dataset_text_field`, or pass "
        "`formatting_func`."
    )


def check_masks(columns: Sequence[str], row_format: str, args: SFTConfig, name: str) -> None:
    """Raise if an option masks what rows of this format do not tell apart.

    Raises:
        ValueError: there is no prompt to tell from a completion, or no assistant to tell from others.
    """
    if row_format == "tokenized" and "labels" in columns:
        return
    found = f"the {name} data set has the columns {', '.join(columns)}"
    if args.completion_only_loss and row_format != "prompt_completion" and "completion_mask" not in columns:
        raise ValueError(
            f"`completion_only_loss=True` needs rows with `prompt` and `completion`, but {found}. Leave it out, or for "
            "conversations set `assistant_only_loss=True`."
        )
    if args.assistant_only_loss and row_format in ("text", "tokenized") and "assistant_masks" not in columns:
        raise ValueError(
            f"`assistant_only_loss=True` needs conversations, but {found}. Set it to False, or pass `messages`."
        )


@dataclass(frozen=True)
class Preparation:
    """Turns rows of one format into tokens; sent to every worker process."""

    processing_class: ProcessingClass
    format: str
    text_field: str
    formatting_func: FormattingFunc | None
    end_token: int | None
    max_length: int | None
    keep_end: bool
    completion_only: bool
    assistant_only: bool
    outputs: tuple[str, ...]

    @classmethod
    def of(
        cls,
        columns: Sequence[str],
        processing_class: ProcessingClass,
        args: SFTConfig,
        packing: bool,
        formatting_func: FormattingFunc | None,
        name: str,
    ) -> "Preparation":
        """What columns and options say about the rows before any is read.

        Raises:
            ValueError: columns are missing, or an option needs columns or a template that are not there.
        """
        row_format = "text" if formatting_func else format_of(columns, args.dataset_text_field, name)
        check_masks(columns, row_format, args, name)
        tokenized = row_format == "tokenized"
        if args.assistant_only_loss and not tokenized:
            check_generation_markers(processing_class)
        completion_only = args.completion_only_loss
        if completion_only is None:
            completion_only = row_format == "prompt_completion" or (tokenized and "completion_mask" in columns)
        given = tokenized and ("labels" in columns or "assistant_masks" in columns)
        masked = completion_only or args.assistant_only_loss or given
        packed = tokenized and "seq_lengths" in columns
        uncut = packed or (packing and args.packing_strategy != "bfd")
        return cls(
            processing_class=processing_class,
            format=row_format,
            text_field=args.dataset_text_field,
            formatting_func=formatting_func,
            end_token=end_token(tokenizer_of(processing_class), args.eos_token),
            max_length=None if uncut else args.max_length,
            keep_end=args.truncation_mode == "keep_end",
            completion_only=completion_only,
            assistant_only=args.assistant_only_loss,
            outputs=("input_ids", *["labels"] * masked, *["seq_lengths"] * packed),
        )

    def __call__(self, rows: RowBatch) -> tuple[Outputs, list[str | None]]:
        if self.format == "tokenized":
            return self.cut(self.tokenized(rows))
        if self.format == "prompt_completion":
            return self.cut(self.prompt_completion(rows))
        if self.format == "text":
            return self.cut({"input_ids": self.encode(self.texts(rows), end=True).ids})
        renderer = ChatRenderer(self.processing_class)

        def render(chat: Chat, tools: list[Any] | None, options: dict[str, Any]) -> Rendered:
            return renderer.render(chat, tools, self.assistant_only, **options)

        return self.cut(self.labelled(render_rows(rows, self.format, rows.chats(self.format), render)))

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return tokenizer_of(self.processing_class)

    def encode(self, texts: list[str], end: bool) -> Encoded:
        """Texts as tokens. Running text, unlike a rendered chat, is wrapped as the tokenizer does and ended."""
        encoded = encode(self.tokenizer, texts, special_tokens=end, positions="labels" in self.outputs)
        if end and self.end_token is not None:
            encoded.ids = [ids if ids[-1:] == [self.end_token] else [*ids, self.end_token] for ids in encoded.ids]
        return encoded

    def texts(self, rows: RowBatch) -> list[str]:
        """Running texts, from their column or made by `formatting_func`."""
        if self.formatting_func is None:
            return rows.texts(self.text_field)
        texts = [self.formatting_func(rows.row(at)) for at in range(len(rows))]
        for at, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"{rows.place(at)}: `formatting_func` gave {shown(text)}. Return the text of the row.")
        return texts

    def prompt_completion(self, rows: RowBatch) -> Outputs:
        """Prompts with their completions: running texts, or conversations."""
        if isinstance(rows.columns["prompt"][0], str):
            if self.assistant_only:
                way_out = "Set it to False, or store lists of messages."
                raise rows.error(0, "prompt", "`assistant_only_loss=True` needs messages, but this is text", way_out)
            texts = zip(rows.texts("prompt"), rows.texts("completion"), strict=True)
            return self.labelled([Rendered(prompt + completion, len(prompt)) for prompt, completion in texts], end=True)
        renderer = ChatRenderer(self.processing_class)

        def render(pair: tuple[Chat, Chat], tools: list[Any] | None, options: dict[str, Any]) -> Rendered:
            return renderer.render_reply(*pair, tools, self.assistant_only, **options)

        chats = list(zip(rows.chats("prompt"), rows.chats("completion"), strict=True))
        return self.labelled(render_rows(rows, "prompt", chats, render))

    def labelled(self, rendered: list[Rendered], end: bool = False) -> Outputs:
        """Ids and, if an option masks something, labels: the completion, the generated spans, or what is both."""
        encoded = self.encode([row.text for row in rendered], end)
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
        last = len(self.tokenizer) - 1
        ids = integer_rows(rows, "input_ids", smallest=0, largest=last)
        outputs: Outputs = {"input_ids": ids}
        if "labels" in self.outputs:
            labels = integer_rows(rows, "labels", smallest=0, largest=last, like=ids, also=IGNORE)
            masks = MASKS if self.completion_only else ("assistant_masks",)
            outputs["labels"] = apply_masks(rows, labels or ids, masks)
        if "seq_lengths" in self.outputs:
            outputs["seq_lengths"] = integer_rows(rows, "seq_lengths", smallest=1, total=ids)
        return outputs

    def cut(self, outputs: Outputs) -> tuple[Outputs, list[str | None]]:
        """The rows truncated to `max_length`, and for each why it is dropped, if it is."""
        whole, lengths = outputs, [len(row) for row in outputs["input_ids"]]
        if self.max_length is not None and max(lengths, default=0) > self.max_length:
            kept = slice(-self.max_length, None) if self.keep_end else slice(self.max_length)
            outputs = {column: [row[kept] for row in values] for column, values in whole.items()}
        dropped = [EMPTY if length < 2 else None for length in lengths]
        for at, row in enumerate(outputs.get("labels", [])):
            # The first label of a row is never learned: nothing comes before it that could predict it.
            if dropped[at] is None and (row[1:] == IGNORE).all():
                dropped[at] = UNLEARNED if (whole["labels"][at][1:] == IGNORE).all() else CUT_OFF
        return outputs, dropped


@dataclass
class DataCollatorForLanguageModeling(DataCollatorMixin):
    """Rows of tokens -> one batch: padded on the right, or laid end to end.

    Rows are laid end to end if `padding_free` says so or if they are packed (have `seq_lengths`). Such a batch holds
    the lengths of its documents as a list on the host, and the first label of each is masked.
    """

    pad_token_id: int
    padding_free: bool = False
    return_position_ids: bool = False
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        if self.padding_free or examples[0].get("seq_lengths") is not None:
            return self._end_to_end(examples)
        ids = [example["input_ids"] for example in examples]
        input_ids = pad(ids, self.pad_token_id, self.pad_to_multiple_of)
        attention_mask = real_tokens([len(row) for row in ids], input_ids.size(1))
        labels = pad([labels_of(example) for example in examples], IGNORE, self.pad_to_multiple_of)
        batch = {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
        if self.return_position_ids:
            batch["position_ids"] = torch.arange(input_ids.size(1)) * attention_mask
        return batch

    def _end_to_end(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        lengths = [int(n) for example in examples for n in example.get("seq_lengths") or [len(example["input_ids"])]]
        filler = round_up(sum(lengths), self.pad_to_multiple_of) - sum(lengths)
        ids = np.concatenate([*(example["input_ids"] for example in examples), np.full(filler, self.pad_token_id)])
        labels = np.concatenate([*map(labels_of, examples), np.full(filler, IGNORE)])
        lengths += [filler] * (filler > 0)
        labels[np.cumsum(lengths) - lengths] = IGNORE
        return {
            "input_ids": torch.from_numpy(ids.astype(np.int64))[None],
            "labels": torch.from_numpy(labels.astype(np.int64))[None],
            "position_ids": positions(lengths),
            "seq_lengths": lengths,
        }


def labels_of(example: dict[str, Any]) -> Any:
    """The labels of a row of tokens, which are its ids if it has none, with its masks applied."""
    labels = example["input_ids"] if example.get("labels") is None else example["labels"]
    for mask in MASKS:
        if example.get(mask) is not None:
            labels = np.where(np.asarray(example[mask]) == 1, labels, IGNORE)
    return labels
