"""Rewards -> advantages: how much better a completion is than the others of its prompt.

Rewards are `[N, K]`, N completions of which each G in a row share a prompt, K reward functions; not-a-number where a
function gave none. A completion without any reward has the advantage 0.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..rewards.groups import group_mean, group_spread, spread, weighted_sum
from .contract import MultiObjectiveAggregation, ScaleRewards

TINY = 1e-4
"""Added to standard deviations that are divided by."""


def advantages(
    rewards: Float[Tensor, "N K"],
    weights: Float[Tensor, "K"],
    group: int,
    scale: ScaleRewards = "group",
    aggregation: MultiObjectiveAggregation = "sum_then_normalize",
) -> Float[Tensor, "N"]:
    """Advantages of all completions of a generation batch, over all ranks.

    `sum_then_normalize`: `(r - mean of the group) / spread`, r the weighted sum; the spread is that of the group
    (DeepSeekMath, 2402.03300), of the batch (2508.08221), or left out (Dr. GRPO, 2503.20783).
    `normalize_then_sum`: each reward by itself within its group, then the weighted sum within the batch
    (GDPO, 2601.05242), so that rewards of different size weigh alike.
    """
    if aggregation == "normalize_then_sum":
        columns = [
            (column - group_mean(column, group)) / (group_spread(column, group) + TINY) for column in rewards.unbind(1)
        ]
        total = weighted_sum(torch.stack(columns, dim=1), weights)
        found = (total - total.nanmean()) / (spread(total[None]) + TINY)
        return found.nan_to_num(0.0)
    total = weighted_sum(rewards, weights)
    found = total - group_mean(total, group)
    if scale == "group":
        found = found / (group_spread(total, group) + TINY)
    elif scale == "batch":
        found = found / (spread(total[None]) + TINY)
    return found.nan_to_num(0.0)
