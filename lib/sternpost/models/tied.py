"""One gradient for a weight that is both the embedding and the head.

The gradient of an embedding is zero but for the tokens of the batch, yet autograd makes it as large as the weight
and adds it to the head's. Here the head hands its gradient on to the lookup, whose backward pass comes last and adds
its rows: one buffer of the size of the weight less, and two passes over it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable


class SharedGradient:
    """Hands the gradient of the head to the lookup of the same forward pass."""

    def __init__(self) -> None:
        self.looked_up = False
        self.from_head: Tensor | None = None


class LookUp(Function):
    """`F.embedding`, whose gradient is added to that of the head."""

    @staticmethod
    def forward(
        ctx: Any, ids: Int[Tensor, "*B"], weight: Float[Tensor, "V H"], padding: int | None, shared: SharedGradient
    ) -> Float[Tensor, "*B H"]:
        ctx.save_for_backward(ids)
        ctx.weight, ctx.padding, ctx.shared = (weight.shape, weight.dtype), padding, shared
        shared.looked_up = True
        return F.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "*B H"]) -> tuple[Tensor | None, ...]:
        (ids,) = ctx.saved_tensors
        shape, dtype = ctx.weight
        total, ctx.shared.from_head = ctx.shared.from_head, None
        if total is None:  # the loss does not come from the head
            total = grad.new_zeros(shape, dtype=dtype)
        if ctx.padding is not None:
            grad = grad.masked_fill((ids == ctx.padding).unsqueeze(-1), 0)
        total.index_add_(0, ids.flatten(), grad.reshape(-1, shape[1]).to(dtype))
        return None, total, None, None


def may_share(embedding: nn.Module, head: nn.Module) -> bool:
    """Whether both are plain modules on one weight that is being trained."""
    return (
        type(embedding) is nn.Embedding
        and type(head) is nn.Linear
        and embedding.weight is head.weight
        and embedding.weight.requires_grad
        and embedding.max_norm is None
        and not (embedding.scale_grad_by_freq or embedding.sparse)
        and torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
    )


@contextmanager
def shared_gradient(embedding: nn.Module, head: nn.Module) -> Iterator[SharedGradient | None]:
    """Tokens are looked up such that the gradient can be shared with the head, if it can be."""
    if not may_share(embedding, head):
        yield None
        return
    shared = SharedGradient()
    embedding.forward = lambda ids: LookUp.apply(ids, embedding.weight, embedding.padding_idx, shared)
    try:
        yield shared
    finally:
        del embedding.forward
