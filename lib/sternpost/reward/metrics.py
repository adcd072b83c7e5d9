"""The metrics of a batch of pairs (`contract.METRICS`)."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..metrics import Share
from .loss import Pairs


@torch.no_grad()
def pair_metrics(
    pairs: Pairs, losses: Float[Tensor, "P"]
) -> tuple[dict[str, Share], dict[str, Tensor], dict[str, Tensor]]:
    """Sums with what each is to be divided by; then values whose smallest, and whose largest, is the metric."""
    count = losses.new_tensor(len(losses))
    difference = pairs.chosen - pairs.rejected
    rewards = torch.cat([pairs.chosen, pairs.rejected])
    shares = {
        "loss": (losses.sum(), count),
        "mean_reward": (rewards.sum(), 2 * count),
        "accuracy": ((difference > 0).float().sum(), count),
        "margin": (difference.sum(), count),
    }
    return shares, {"min_reward": rewards.amin()}, {"max_reward": rewards.amax()}
