"""Attention of completions that each read one more token, with the prompt of a group multiplied once for all of it.

Exact for every transformers decoder whose attention can be exchanged, whichever implementation it reads prompts with.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from .cache import SlotCache, Step

NAME = "sternpost_slots"
"""Name under which the attention is registered with transformers. No mask function goes with it."""


def slot_attention(
    module: nn.Module,
    query: Float[Tensor, "n heads 1 D"],
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float | None = None,
    slots: SlotCache | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Float[Tensor, "heads"] | None = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "n 1 heads D"], None]:
    """What each completion attends to: its prompt and its slot, which hold its new key and value already.

    Raises:
        RuntimeError: the model did not hand `slots` on to its attention.
    """
    if slots is None:
        raise RuntimeError(f"{type(module).__name__} does not hand arguments on to its attention. Generate with vLLM.")
    layer, step = slots.layers[module.layer_idx], slots.step
    prompts, own = layer.prompts, layer.slots
    count, heads, _, size = query.shape
    keyed = own.keys.size(1)
    query = (query * (size**-0.5 if scaling is None else scaling)).view(count, keyed, heads // keyed, size)
    with torch.autocast(query.device.type, enabled=False):  # scores keep the precision that keys and queries have
        query = query.to(own.keys.dtype)
        shared = of_prompts(query, step) @ prompts.keys[: step.prompts, :, : step.prompt_width].transpose(-1, -2)
        alone = query @ own.keys[:count, :, : step.width].transpose(-1, -2)
        scores = torch.cat([of_slots(shared, step, heads // keyed), alone], -1).float()
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        scores += step.mask(sliding_window)
        if s_aux is not None:
            sinks = s_aux.float().view(1, keyed, -1, 1).expand(count, -1, -1, -1)
            scores = torch.cat([scores, sinks], -1)
        weights = scores.softmax(-1).to(own.values.dtype)
        at_prompt = of_prompts(weights[..., : step.prompt_width], step)
        shared = at_prompt @ prompts.values[: step.prompts, :, : step.prompt_width]
        end = step.prompt_width + step.width
        alone = weights[..., step.prompt_width : end] @ own.values[:count, :, : step.width]
        out = of_slots(shared, step, heads // keyed) + alone
    return out.reshape(count, 1, heads, -1), None


def of_prompts(rows: Float[Tensor, "n K R x"], step: Step) -> Float[Tensor, "prompts K mR x"]:
    """Rows of slots as rows of their prompts."""
    prompts, members = step.members.shape
    _, keyed, repeats, size = rows.shape
    if step.member_of is not None:
        rows = rows[step.members.view(-1)]
    return (
        rows.reshape(prompts, members, keyed, repeats, size)
        .transpose(1, 2)
        .reshape(prompts, keyed, members * repeats, size)
    )


def of_slots(rows: Float[Tensor, "prompts K mR x"], step: Step, repeats: int) -> Float[Tensor, "n K R x"]:
    """The way back."""
    prompts, keyed, _, size = rows.shape
    apart = rows.view(prompts, keyed, -1, repeats, size).transpose(1, 2).reshape(-1, keyed, repeats, size)
    return apart if step.member_of is None else apart[step.member_of]


@contextmanager
def attending_to_slots(model: PreTrainedModel) -> Iterator[None]:
    """Let the layers of a model use this attention; their own again behind it."""
    config = model.config.get_text_config()
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


AttentionInterface.register(NAME, slot_attention)
