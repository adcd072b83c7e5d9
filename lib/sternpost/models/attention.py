"""Rows laid end to end in one sequence, each attending only to itself, on any backend.

transformers keeps such rows apart when their positions restart, by a dense mask of the whole batch (eager, sdpa, flex)
or by their lengths (flash attention). With sdpa the mask costs the square of all tokens. Here each row goes through the
kernel by itself: no mask at all, and the causal fast path.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sternpost_rows"
"""Name under which the attention is registered with transformers."""

_end_to_end: ContextVar[bool] = ContextVar("end_to_end", default=False)


def rows_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    row_lengths: tuple[int, ...] | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of rows laid end to end; without `row_lengths` exactly transformers' sdpa.

    Raises:
        RuntimeError: the model did not hand `row_lengths` on to its attention, so rows would see one another.
    """
    if row_lengths is None:
        if _end_to_end.get():
            raise RuntimeError(
                f"{type(module).__name__} does not receive the row lengths, so rows laid end to end would see one "
                "another. Set `padding_free=False` and `packing=False` for this model."
            )
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, sliding_window=sliding_window, **kwargs
        )
    outputs = []
    columns = zip(*(tensor.split(row_lengths, dim=2) for tensor in (query, key, value)), strict=True)
    for q, k, v in columns:
        mask = None
        if sliding_window is not None and q.size(2) > sliding_window:
            mask = window_mask(q.size(2), sliding_window, q.device)
        outputs.append(sdpa_attention_forward(module, q, k, v, mask, **kwargs)[0])
    return torch.cat(outputs, dim=1), None


def window_mask(length: int, window: int, device: torch.device) -> Tensor:
    """`[1, 1, length, length]`, true where a position sees itself or one of the `window - 1` before it."""
    position = torch.arange(length, device=device)
    distance = position[:, None] - position[None, :]
    return ((distance >= 0) & (distance < window))[None, None]


def rows_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """No mask for rows laid end to end, else transformers' own for sdpa."""
    return None if _end_to_end.get() else sdpa_mask(*args, **kwargs)


AttentionInterface.register(NAME, rows_attention)
AttentionMaskInterface.register(NAME, rows_mask)


def may_keep_rows_apart(model: PreTrainedModel) -> bool:
    """Whether the layers of a model are of a kind that can keep rows laid end to end apart.

    Not those with recurrent or convolutional layers, whose state runs on over the borders of rows; not those with
    position biases of their own (ALiBi); not those whose attention transformers cannot exchange.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ("full_attention",))
    return (
        model._supports_attention_backend
        and not getattr(model, "_is_stateful", False)
        and kinds <= {"full_attention", "sliding_attention"}
        and not getattr(config, "alibi", False)
    )


def rows_arguments(model: PreTrainedModel, lengths: list[int], device: torch.device) -> dict[str, Any]:
    """What the model's attention needs to keep rows of these lengths apart, beside restarting positions."""
    implementation = model.config._attn_implementation
    if implementation == NAME:
        return {"row_lengths": tuple(lengths)}
    if "flash" in implementation:
        bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32).to(device, non_blocking=True)
        longest = max(lengths)
        return {
            "cu_seq_lens_q": bounds,
            "cu_seq_lens_k": bounds,
            "max_length_q": longest,
            "max_length_k": longest,
        }
    return {}


@contextmanager
def end_to_end(active: bool) -> Iterator[None]:
    """Tell the mask function that the rows of this forward pass are laid end to end."""
    token = _end_to_end.set(active)
    try:
        yield
    finally:
        _end_to_end.reset(token)
