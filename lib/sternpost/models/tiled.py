"""Scores through any head module, tile by tile: for heads that are more than one weight matrix.

An adapter on the head, a quantised head, or a head whose weight is sharded and gathered by hooks when the module is
called: each tile calls the module and is recomputed in the backward pass.
"""

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .scores import Extra, LogitScale, Objective, score_plain

TILE_ROWS = 256
"""Positions per tile."""


def score_tiled(
    hidden: Float[Tensor, "N H"],
    head: nn.Module,
    targets: Int[Tensor, "N"],
    scale: LogitScale = LogitScale(),
    temperature: float = 1.0,
    objective: Objective | None = None,
    extras: tuple[Extra, ...] = (),
) -> tuple[Tensor | None, *tuple[Float[Tensor, "N"], ...]]:
    """Loss (with an objective), log-probability, entropy, top-1 hit and the extras of each target."""
    parts = []
    for start in range(0, call_count(head, len(targets)) * TILE_ROWS, TILE_ROWS):
        part = slice(start, start + TILE_ROWS)
        parts.append(
            checkpoint(score_plain, hidden[part], head, targets[part], scale, temperature, extras, use_reentrant=False)
        )
    stats = [torch.cat(column) for column in zip(*parts, strict=True)]
    if objective is None:
        return None, *stats
    return objective(stats[0]).sum(), *(stat.detach() for stat in stats)


def call_count(head: nn.Module, positions: int) -> int:
    """How many tiles there are: the same on every rank if calling the head starts a collective."""
    count = max(1, -(-positions // TILE_ROWS))
    weight = next(iter(head.parameters()), None)
    if weight is None or not is_sharded(weight) or not dist.is_initialized():
        return count
    longest = torch.tensor(count, device=weight.device)
    dist.all_reduce(longest, dist.ReduceOp.MAX)
    return int(longest)


def is_sharded(weight: Tensor) -> bool:
    """Whether a parameter is spread over ranks, by FSDP2 or tensor parallelism (DTensor) or by DeepSpeed ZeRO-3."""
    from torch.distributed.tensor import DTensor

    return isinstance(weight, DTensor) or hasattr(weight, "ds_id")
