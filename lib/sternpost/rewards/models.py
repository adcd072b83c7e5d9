"""Rewards by sequence-classification models: prompts with their completions in, one number each out.

A reward model is whole on every rank, also where the policy is sharded, and computes in the precision that it is stored
in. It reads what it was trained on: a conversation as its own chat template shows it, running text with the special
tokens that its tokenizer puts around it and with the end token.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.integrations import deepspeed

from ..data.batches import RowLengths, pad, positions, real_tokens
from ..data.chat import ChatRenderer, tokenizer_of
from ..data.rows import Chat, without_none
from ..data.tokens import common_prefix, encode, end_token
from ..models.forward import can_check
from ..models.policy import align_special_tokens, base_of, has_prompt_tokens, is_quantized
from ..models.sequence import enable_sequence_scoring, keep_sequences_apart
from ..models.sequence_head import HEADS, head_name, scorer_class
from .completions import Completion
from .run import Rewards, checked

ROOM = 16_384
"""Tokens of a forward pass, filling included, unless a single sequence is longer."""
FSDP_LOADING = "FSDP_CPU_RAM_EFFICIENT_LOADING"
"""Variable that makes transformers load weights on the first rank only."""


class RewardModel:
    """A model that scores completions, with its tokenizer.

    Raises:
        ValueError: the model does not give one number per sequence, or its weights are not here, or the tokenizer does
            not fit to it.
    """

    def __init__(self, name: str, model: Any, processing_class: Any) -> None:
        self.name, self.model, self.processing_class = name, model.requires_grad_(False).eval(), processing_class
        self.tokenizer: PreTrainedTokenizerBase = tokenizer_of(processing_class)
        base = base_of(model)
        check_scores(name, base)
        try:
            align_special_tokens(base, self.tokenizer, None)
        except ValueError as error:
            raise ValueError(f"the reward model `{name}` and its tokenizer do not fit together: {error}") from error
        enable_sequence_scoring(base)
        self.shared = not has_prompt_tokens(model) and keep_sequences_apart(base)

    @classmethod
    def of(cls, model: str | nn.Module, processing_class: Any = None, trust_remote_code: bool = False) -> "RewardModel":
        """A loaded model, or one to load from a path or an id.

        Raises:
            OSError: there is no such model.
        """
        path = model if isinstance(model, str) else getattr(base_of(model).config, "_name_or_path", "")
        name = Path(path).name or type(model).__name__
        if isinstance(model, str):
            model = load(model, trust_remote_code)
        if processing_class is None:
            processing_class = load_tokenizer(name, path, trust_remote_code)
        return cls(name, model, processing_class)

    def to(self, device: torch.device | str) -> None:
        """Move the weights, unless they are where they have to be: quantised, or spread over devices."""
        if not is_quantized(base_of(self.model)) and len(getattr(self.model, "hf_device_map", {})) < 2:
            self.model.to(device)

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Completion], tools: Sequence[Any] | None = None
    ) -> Rewards:
        """The reward of the completion of each prompt, all text or all messages."""
        if isinstance(prompts[0], str):
            ids = self.texts(prompts, completions)
        else:
            ids = self.conversations(prompts, completions, tools or [None] * len(prompts))
        order = list(range(len(ids))) if self.shared else sorted(range(len(ids)), key=lambda at: len(ids[at]))
        rewards = torch.empty(len(ids))
        for piece in pieces(order, [len(each) for each in ids]):
            found = [ids[at] for at in piece]
            batch = end_to_end(found, [prompts[at] for at in piece]) if self.shared else self.padded(found)
            rewards[piece] = self.score(batch)
        return checked(self.name, rewards, len(ids))

    def texts(self, prompts: Sequence[str], completions: Sequence[Any]) -> list[list[int]]:
        """Ids of running text, which is ended."""
        texts = [prompt + completion for prompt, completion in zip(prompts, completions, strict=True)]
        ids, end = encode(self.tokenizer, texts, special_tokens=True).ids, end_token(self.tokenizer)
        return [each if end is None or each[-1:] == [end] else [*each, end] for each in ids]

    def conversations(
        self, prompts: Sequence[Any], completions: Sequence[Any], tools: Sequence[Any]
    ) -> list[list[int]]:
        """Ids of prompts that are answered."""
        renderer = ChatRenderer(self.processing_class)
        texts = [
            renderer.render(answered(without_none(prompt), completion), offered).text
            for prompt, completion, offered in zip(prompts, completions, tools, strict=True)
        ]
        return encode(self.tokenizer, texts, special_tokens=False).ids

    def padded(self, ids: Sequence[list[int]]) -> dict[str, Any]:
        input_ids = pad(ids, self.tokenizer.pad_token_id)
        batch = {"input_ids": input_ids, "attention_mask": real_tokens([len(row) for row in ids], input_ids.size(1))}
        return batch | ({"use_cache": False} if hasattr(base_of(self.model), "score") else {})

    def score(self, batch: dict[str, Any]) -> torch.Tensor:
        """`[B]`: one number per sequence, on the CPU."""
        device = next(self.model.parameters()).device
        moved = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
        with torch.no_grad():
            return self.model(**moved).logits[:, 0].float().cpu()


def answered(prompt: Chat, completion: Chat) -> Chat:
    """A prompt with its completion, which goes on with what the assistant said last if it did."""
    last, first = prompt[-1], completion[0]
    if last["role"] == first["role"] == "assistant" and isinstance(last["content"], str):
        return [*prompt[:-1], {**first, "content": last["content"] + (first.get("content") or "")}, *completion[1:]]
    return [*prompt, *completion]


def pieces(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Sequences in this order, as many at a time as there is room for."""
    piece: list[int] = []
    for at in order:
        if piece and max(lengths[each] for each in (*piece, at)) * (len(piece) + 1) > ROOM:
            yield piece
            piece = []
        piece.append(at)
    if piece:
        yield piece


def end_to_end(ids: Sequence[list[int]], prompts: Sequence[Any]) -> dict[str, Any]:
    """Sequences laid end to end; what those of one prompt begin with stands once."""
    tokens: list[int] = []
    sizes: list[int | tuple[int, ...]] = []
    for _, members in groupby(zip(prompts, ids, strict=True), key=lambda member: member[0]):
        group = [own for _, own in members]
        shared = min(common_prefix(group[0], own) for own in group)
        tokens += group[0][:shared] + [token for own in group for token in own[shared:]]
        sizes.append((shared, *(len(own) - shared for own in group)))
    lengths: RowLengths = sizes
    return {"input_ids": torch.tensor([tokens]), "position_ids": positions(lengths), "seq_lengths": lengths}


def check_scores(name: str, model: Any) -> None:
    """Raise unless a model gives one number per sequence and its weights are here."""
    labels = getattr(model.config, "num_labels", None)
    if head_name(model) is None or labels != 1:
        raise ValueError(
            f"the reward model `{name}` ({type(model).__name__}, `num_labels={labels}`) does not give one number per "
            "sequence. Pass a sequence-classification model with `num_labels=1`, such as `sternpost reward` trains."
        )
    if not can_check(model):
        raise ValueError(
            f"the weights of the reward model `{name}` are sharded, but every rank needs them whole. Pass its path: it "
            "is loaded whole."
        )


def load(name: str, trust_remote_code: bool) -> Any:
    """The reward model of a path or an id; adapters that were saved with their head are merged.

    Raises:
        OSError: there is no such model.
        ValueError: it is no reward model.
    """
    with whole_weights():
        if (Path(name) / "adapter_config.json").is_file():
            from peft import AutoPeftModelForSequenceClassification

            adapted = AutoPeftModelForSequenceClassification.from_pretrained(name, num_labels=1)
            return adapted.merge_and_unload() if is_peft_model(adapted) else adapted
        try:
            config = AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
        except (OSError, ValueError) as error:
            raise OSError(
                f"the reward {name!r} is no path or id of a model: {error} A ready-made reward is passed as a function,"
                " such as `sternpost.rewards.accuracy_reward`."
            ) from error
        options = {"dtype": "auto", "trust_remote_code": trust_remote_code, "output_loading_info": True}
        if config.num_labels != 1:
            raise ValueError(
                f"the reward model {name!r} has `num_labels={config.num_labels}`, but a reward is one number. Pass a "
                "sequence-classification model with `num_labels=1`, such as `sternpost reward` trains."
            )
        model, loading = scorer_class(config).from_pretrained(name, **options)
    if any(key.split(".")[0] in HEADS for key in loading["missing_keys"]):
        raise ValueError(
            f"the checkpoint {name!r} has no weights for the head that gives the reward, which would be random. Train "
            "it with `sternpost reward` first."
        )
    return model


def load_tokenizer(name: str, path: str, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """The tokenizer that is published with a model.

    Raises:
        ValueError: there is none.
    """
    try:
        found = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code) if path else None
    except (OSError, ValueError):
        found = None
    if found is None or len(found) <= len(found.all_special_tokens):  # without files, transformers makes an empty one
        raise ValueError(
            f"No tokenizer is published with the reward model `{name}`. Pass it in `reward_processing_classes`."
        )
    return found


@contextmanager
def whole_weights() -> Iterator[None]:
    """Load all weights on every rank, although ZeRO-3 or FSDP would spread those of a policy."""
    sharding, loading = deepspeed._hf_deepspeed_config_weak_ref, os.environ.get(FSDP_LOADING)
    deepspeed._hf_deepspeed_config_weak_ref = None
    os.environ[FSDP_LOADING] = "False"
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = sharding
        os.environ.pop(FSDP_LOADING)
        if loading is not None:
            os.environ[FSDP_LOADING] = loading
