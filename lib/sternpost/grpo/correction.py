"""Completions come from mu, gradients are those of old: weights that correct for the difference."""

import math

from jaxtyping import Float
from torch import Tensor

from .contract import CorrectionMode

LOG_LIMIT = 20.0


def correction(
    old_logps: Float[Tensor, "N C"],
    sampler_logps: Float[Tensor, "N C"],
    mask: Float[Tensor, "N C"],
    mode: CorrectionMode,
    clip_max: float | None,
    clip_min: float | None = None,
) -> Float[Tensor, "N #C"]:
    """`old/mu`, of each token or of each sequence, without gradient.

    `truncate` cuts weights to `[clip_min, clip_max]` (truncated importance sampling, 2312.14972); `mask` sets those
    outside to zero, so that what is too far off is not learned at all.
    """
    gaps = (old_logps - sampler_logps) * mask
    if mode.startswith("sequence"):
        gaps = gaps.sum(1, keepdim=True)
    weights = gaps.clamp(-LOG_LIMIT, LOG_LIMIT).exp().detach()
    low, high = 0.0 if clip_min is None else clip_min, math.inf if clip_max is None else clip_max
    if mode.endswith("truncate"):
        return weights.clamp(low, high)
    return weights.masked_fill((weights < low) | (weights > high), 0.0)


def off_policy_mask(
    logps: Float[Tensor, "N C"],
    sampler_logps: Float[Tensor, "N C"],
    mask: Float[Tensor, "N C"],
    advantages: Float[Tensor, "N"],
    threshold: float,
) -> Float[Tensor, "N 1"]:
    """Zero for bad completions that the policy would hardly say any more; DeepSeek-V3.2, 2512.02556, eq. 9.

    Those with a negative advantage whose tokens became less likely by more than `threshold` nats in the mean.
    """
    gap = ((sampler_logps - logps) * mask).sum(1) / mask.sum(1).clamp(min=1)
    return (~((advantages < 0) & (gap > threshold))).float()[:, None].detach()


def top_entropy_mask(
    entropy: Float[Tensor, "N C"], mask: Float[Tensor, "N C"], threshold: Float[Tensor, ""]
) -> Float[Tensor, "N C"]:
    """One for the tokens at which the policy was least sure; 2506.01939, eq. 5."""
    return mask * (entropy >= threshold)


def entropy_threshold(entropies: Float[Tensor, "n"], share: float) -> Float[Tensor, ""]:
    """The entropy above which this share of the tokens lies, interpolated between the two nearest ones.

    That of `torch.quantile`, which refuses more than 2^24 values.
    """
    if not len(entropies):
        return entropies.new_zeros(())
    ordered = entropies.float().sort().values
    place = (1 - share) * (len(ordered) - 1)
    below = math.floor(place)
    return ordered[below].lerp(ordered[min(below + 1, len(ordered) - 1)], place - below)
