"""Rewards of completions, of which each G in a row share a prompt; not-a-number where there is none.

Means are taken in float64, where they are exact for equal rewards, so that these have no advantage at all.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def weighted_sum(rewards: Float[Tensor, "N K"], weights: Float[Tensor, "K"]) -> Float[Tensor, "N"]:
    """`sum_k w_k r_k` over the rewards that there are; not-a-number where there are none."""
    total = (rewards * weights).nansum(1)
    return total.where(~rewards.isnan().all(1), torch.nan)


def group_mean(values: Float[Tensor, "N"], group: int) -> Float[Tensor, "N"]:
    """Mean of each group, for each of its members."""
    return values.double().view(-1, group).nanmean(1).repeat_interleave(group).to(values.dtype)


def spread(values: Float[Tensor, "n G"]) -> Float[Tensor, "n"]:
    """Standard deviation (with n - 1) of the values that there are in each row; 0 for fewer than two."""
    known = ~values.isnan()
    count = known.sum(1)
    gaps = (values - values.double().nanmean(1, keepdim=True)).where(known, 0)
    return (gaps.square().sum(1) / (count - 1).clamp(min=1)).sqrt().to(values.dtype)


def group_spread(values: Float[Tensor, "N"], group: int) -> Float[Tensor, "N"]:
    """Standard deviation of each group, for each of its members."""
    return spread(values.view(-1, group)).repeat_interleave(group)


def without_signal(rewards: Float[Tensor, "N"], group: int) -> Float[Tensor, "n"]:
    """One for the groups whose completions all have the same reward, and so no advantage."""
    return (group_spread(rewards, group).view(-1, group)[:, 0] < 1e-12).float()
