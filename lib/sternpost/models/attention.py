"""Rows laid end to end in one sequence, each attending only to itself, on any backend.

transformers keeps such rows apart when their positions restart, by a dense mask of the whole batch (eager, sdpa, flex)
or by their lengths (flash attention). With sdpa the mask costs the square of all tokens. Here each row goes through the
kernel by itself: no mask at all, and the causal fast path.

Rows that begin alike, such as a prompt with several answers, may share that beginning: each branch attends to what it
shares and to itself. Their hidden states are those of rows written out in full, at the cost of one beginning.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from ..data.batches import RowLengths

NAME = "sternpost_rows"
"""Name under which the attention is registered with transformers."""

_end_to_end: ContextVar[bool] = ContextVar("end_to_end", default=False)


def rows_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    row_lengths: RowLengths | None = None,
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
    sizes = [length if isinstance(length, int) else sum(length) for length in row_lengths]
    rows = zip(row_lengths, *(tensor.split(sizes, dim=2) for tensor in (query, key, value)), strict=True)
    outputs = []
    for length, q, k, v in rows:
        for queries, keys, values in [(q, k, v)] if isinstance(length, int) else branches(length, q, k, v):
            mask = suffix_mask(queries.size(2), keys.size(2), sliding_window, queries.device)
            outputs.append(sdpa_attention_forward(module, queries, keys, values, mask, **kwargs)[0])
    return torch.cat(outputs, dim=1), None


def branches(lengths: tuple[int, ...], q: Tensor, k: Tensor, v: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Queries, keys and values of the parts of a row: what its branches share with the first one, then the others.

    The queries of a part are the last ones of its keys.
    """
    shared, first, *others = lengths
    start = shared + first
    yield q[:, :, :start], k[:, :, :start], v[:, :, :start]
    for length in filter(None, others):
        own = slice(start, start + length)
        keys, values = (torch.cat([tensor[:, :, :shared], tensor[:, :, own]], dim=2) for tensor in (k, v))
        yield q[:, :, own], keys, values
        start += length


def suffix_mask(queries: int, keys: int, window: int | None, device: torch.device) -> Tensor | None:
    """Which keys each query sees, when the queries are the last of the keys: itself and (`window - 1` of) those before.

    None where the kernel does that by itself.
    """
    if window is None or keys <= window:
        if queries in (1, keys):
            return None
        if device.type != "cpu":
            return causal_lower_right(queries, keys)
    position = torch.arange(keys, device=device)
    distance = position[keys - queries :, None] - position[None, :]
    seen = distance >= 0
    return (seen if window is None else seen & (distance < window))[None, None]


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


def may_branch(model: PreTrainedModel) -> bool:
    """Whether rows may share their beginning: where our own attention can take the place of the model's."""
    config = model.config.get_text_config()
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    return may_keep_rows_apart(model) and not capped


def rows_arguments(model: PreTrainedModel, lengths: RowLengths, device: torch.device) -> dict[str, Any]:
    """What the model's attention needs to keep rows of these lengths apart, beside restarting positions.

    Raises:
        ValueError: there are branches, which only our own attention keeps apart.
    """
    implementation = model.config._attn_implementation
    if implementation == NAME:
        return {"row_lengths": tuple(lengths)}
    if not all(isinstance(length, int) for length in lengths):
        raise ValueError(f'rows with branches need the attention "{NAME}", but the model has "{implementation}".')
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
