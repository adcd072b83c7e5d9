"""Rewards -> advantages: how much better a completion is than the others of its prompt.

Rewards are `[N, K]`, N completions of which each G in a row share a prompt, K reward functions; not-a-number where a
function gave none. A completion without any reward has the advantage 0.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from .choices import MultiObjectiveAggregation, ScaleRewards

TINY = 1e-4
"""Added to standard deviations that are divided by."""


def weighted_sum(rewards: Float[Tensor, "N K"], weights: Float[Tensor, "K"]) -> Float[Tensor, "N"]:
    """`sum_k w_k r_k` over the rewards that there are; not-a-number where there are none."""
    total = (rewards * weights).nansum(1)
    return total.where(~rewards.isnan().all(1), torch.nan)


def group_mean(values: Float[Tensor, "N"], group: int) -> Float[Tensor, "N"]:
    """Mean of each group, for each of its members."""
    return values.view(-1, group).nanmean(1).repeat_interleave(group)


def spread(values: Float[Tensor, "n G"]) -> Float[Tensor, "n"]:
    """Standard deviation (with n - 1) of the values that there are in each row; 0 for fewer than two."""
    known = ~values.isnan()
    count = known.sum(1)
    gaps = (values - values.nanmean(1, keepdim=True)).where(known, 0)
    return (gaps.square().sum(1) / (count - 1).clamp(min=1)).sqrt()


def group_spread(values: Float[Tensor, "N"], group: int) -> Float[Tensor, "N"]:
    """Standard deviation of each group, for each of its members."""
    return spread(values.view(-1, group)).repeat_interleave(group)


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


def without_signal(rewards: Float[Tensor, "N"], group: int) -> Float[Tensor, "n"]:
    """One for the groups whose completions all have the same reward, and so no advantage."""
    return (group_spread(rewards, group).view(-1, group)[:, 0] < 1e-12).float()
