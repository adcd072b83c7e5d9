"""A policy's weights as a checkpoint of its base model names them: what another engine loads.

Sharded weights are gathered one after another, adapters are merged on copies, weights that are one are named once.
"""

import re
from collections.abc import Iterator
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel, is_peft_model
from torch import Tensor, nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor
from transformers.core_model_loading import revert_weight_conversion

from ..models.policy import base_of, has_prompt_tokens, is_quantized

Named = Iterator[tuple[str, Tensor]]

WRAPPERS = ("_checkpoint_wrapped_module", "_orig_mod")
"""Modules around others that have no part in the names of weights."""


def checkpoint_weights(model: Any) -> Named:
    """Name and whole weight, one after another. Every rank has to ask for all of them, whoever needs them.

    Where transformers stores weights in another shape than checkpoints do (experts, for example), they are turned
    back, layer by layer.

    Raises:
        ValueError: weights that cannot be told: quantised ones, virtual tokens of an adapter, FSDP's first version.
    """
    model = extract_model_from_parallel(model, keep_torch_compile=False)
    check_sendable(model)
    base = base_of(model)
    block: dict[str, Tensor] = {}
    of: str | None = None
    for name, weight in whole_weights(base, "", set()):
        layer = layer_of(name)
        if layer != of:
            yield from revert_weight_conversion(base, block).items()
            block, of = {}, layer
        block[name] = weight
    yield from revert_weight_conversion(base, block).items()


def check_sendable(model: Any) -> None:
    """Raise for a model whose weights another engine cannot take over."""
    if is_quantized(base_of(model)):
        raise ValueError(
            "The weights of `model` are quantised, in which form vLLM cannot take them over. Load it without "
            "quantisation, or generate in this process (`use_vllm=False`)."
        )
    if has_prompt_tokens(model):
        raise ValueError(
            "The adapter of `model` puts virtual tokens before a prompt, which cannot be merged into its weights for "
            "vLLM. Use an adapter of another kind, such as LoRA."
        )
    if is_peft_model(model) and model.active_adapters != [model.active_adapter]:
        raise ValueError(f"Several adapters are active: {model.active_adapters}. Leave one active to use vLLM.")
    if any(isinstance(module, FullyShardedDataParallel) for module in model.modules()):
        raise ValueError("FSDP's first version hides the names of weights. Set `fsdp_version: 2` to use vLLM.")


def layer_of(name: str) -> str:
    """The first numbered part of a name, with all before it: `model.layers.3`."""
    found = re.match(r".*?\.\d+(?=\.)", name)
    return found.group() if found else ""


def whole_weights(module: Any, prefix: str, seen: set[int]) -> Named:
    """Weights and persistent buffers of a module, with those of its parts; each weight under one name."""
    if is_adapted(module):
        yield from merged_weights(module, prefix, seen)
        return
    if hasattr(module, "original_module"):  # what is trained lies beside the frozen layer
        trained = getattr(module, "token_adapter", None) or module.modules_to_save[module.active_adapters[0]]
        yield from whole_weights(trained, prefix, seen)
        return
    kept = {name: buffer for name, buffer in module._buffers.items() if name not in module._non_persistent_buffers_set}
    for name, weight in (module._parameters | kept).items():
        if weight is not None and id(weight) not in seen:
            seen.add(id(weight))
            yield prefix + name, whole(weight)
    for name, child in module.named_children():
        yield from whole_weights(child, prefix if name in WRAPPERS else f"{prefix}{name}.", seen)


def is_adapted(module: Any) -> bool:
    """Whether a module is a layer with an adapter around it; wrappers only seem to have the names of what they wrap."""
    return hasattr(type(module), "unmerge")


def merged_weights(module: Any, prefix: str, seen: set[int]) -> Named:
    """Weights of a layer with its adapter in them. The layer itself is not touched: not even rounding remains."""
    places = [
        (owner, name, weight)
        for owner in module.modules()
        for name, weight in owner._parameters.items()
        if weight is not None
    ]
    unmerged = [layer for layer in module.modules() if is_adapted(layer) and not layer.merged]
    try:
        for owner, name, weight in places:
            owner._parameters[name] = nn.Parameter(whole(weight).clone(), requires_grad=False)
        for layer in unmerged:
            layer.merge(adapter_names=list(layer.active_adapters))
        found = [(name, weight.clone()) for name, weight in whole_weights(module.get_base_layer(), prefix, set())]
        for layer in unmerged:
            layer.unmerge()  # so that it forgets; what it computes goes into the copies
    finally:
        for owner, name, weight in places:
            owner._parameters[name] = weight
    seen.update(id(weight) for _, _, weight in places)
    yield from found


@torch.no_grad()
def whole(weight: Tensor) -> Tensor:
    """A weight that may be spread over ranks, in one piece."""
    if hasattr(weight, "ds_id"):
        import deepspeed

        with deepspeed.zero.GatheredParameters([weight]):
            return weight.detach().clone()
    return weight.full_tensor().detach() if isinstance(weight, DTensor) else weight.detach()
