"""Activations in host memory between the forward and the backward pass."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

SMALLEST = 2**16
"""Tensors with fewer elements stay where they are: moving them costs more than it frees."""


def offload_activations(model: nn.Module, host: torch.device = torch.device("cpu")) -> AbstractContextManager[Any]:
    """While active, tensors that autograd saves go to `host` and come back when the backward pass needs them.

    Parameters stay, as does what is small, not floating point, or on the host already.
    """
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def stays(tensor: Tensor) -> bool:
        return (
            tensor.device.type == host.type
            or tensor.numel() < SMALLEST
            or not tensor.is_floating_point()
            or tensor.untyped_storage().data_ptr() in own
        )

    def pack(tensor: Tensor) -> tuple[torch.device | None, Tensor]:
        if stays(tensor):
            return None, tensor
        pinned = host.type == "cpu" and tensor.device.type == "cuda"
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, device=host, pin_memory=pinned)
        return tensor.device, copy.copy_(tensor, non_blocking=pinned)

    def unpack(packed: tuple[torch.device | None, Tensor]) -> Tensor:
        device, tensor = packed
        return tensor if device is None else tensor.to(device, non_blocking=True)

    return saved_tensors_hooks(pack, unpack)
