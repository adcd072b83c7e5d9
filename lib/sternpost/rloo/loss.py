"""REINFORCE leave-one-out (https://huggingface.co/papers/2402.14740): rewards -> advantages -> loss.

N completions, of which each G in a row share a prompt. A completion is one action: its log-probability is the sum over
its tokens, and its ratio pi/old is that of the whole.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..metrics import Share
from ..rewards.groups import spread

LOG_LIMIT = 20.0
"""Log-ratios are cut there before they are exponentiated."""
TINY = 1e-4
"""Added to the standard deviation that is divided by."""


@runtime_checkable
class LossOptions(Protocol):
    """What the loss reads of `RLOOConfig`, which documents it."""

    @property
    def epsilon(self) -> float: ...
    @property
    def epsilon_high(self) -> float: ...


@dataclass(frozen=True)
class Window:
    """What an optimizer step holds in all, over micro-batches and ranks."""

    sequences: Float[Tensor, ""]


@dataclass
class Step:
    """What a micro-batch comes to."""

    loss: Float[Tensor, ""]
    """Its share, on this rank: those of all micro-batches and ranks of the step add up to the loss."""
    shares: dict[str, Share]
    smallest: dict[str, Tensor]
    largest: dict[str, Tensor]


def shaped(
    rewards: Float[Tensor, "N"],
    kl: Float[Tensor, "N"] | None,
    beta: float,
    clip_range: tuple[float, float] | None = None,
) -> Float[Tensor, "N"]:
    """`clip(r) - beta KL`: the reward of the paper's eq. 2, whose KL is `sum_t log old/ref` of the completion."""
    if clip_range is not None:
        rewards = rewards.clamp(*clip_range)
    return rewards if kl is None else rewards - beta * kl


def leave_one_out(rewards: Float[Tensor, "N"], group: int, normalize: bool = False) -> Float[Tensor, "N"]:
    """`r_i - mean of the others of its prompt` (eq. 8), over those that are known; 0 for a completion without a reward.

    `normalize` also centres and scales them over all completions that have one (REINFORCE++, 2501.03262).
    """
    grouped = rewards.double().view(-1, group)  # in which equal rewards differ from their mean by nothing at all
    known = ~grouped.isnan()
    values = grouped.where(known, 0)
    others = known.sum(1, keepdim=True) - known.long()
    mean = (values.sum(1, keepdim=True) - values) / others.clamp(min=1)
    found = (grouped - mean).where(known & (others > 0), torch.nan).flatten()
    if normalize:
        found = (found - found.nanmean()) / (spread(found[None]) + TINY)
    return found.nan_to_num(0.0).to(rewards.dtype)


def clipped(
    logps: Float[Tensor, "N"], old_logps: Float[Tensor, "N"], advantages: Float[Tensor, "N"], options: LossOptions
) -> Float[Tensor, "N"]:
    """`-min(rho A, clip(rho, 1 - e_low, 1 + e_high) A)`, rho the ratio of the whole completion."""
    ratios = (logps - old_logps).clamp(max=LOG_LIMIT).exp()
    near = ratios.clamp(1 - options.epsilon, 1 + options.epsilon_high)
    return -torch.minimum(ratios * advantages, near * advantages)


def step(
    logps: Float[Tensor, "N C"],
    old_logps: Float[Tensor, "N C"],
    sampler_logps: Float[Tensor, "N C"] | None,
    entropy: Float[Tensor, "N C"],
    mask: Float[Tensor, "N C"],
    advantages: Float[Tensor, "N"],
    window: Window,
    options: LossOptions,
) -> Step:
    """Loss and metrics of a micro-batch: the mean over the completions of the optimizer step."""
    ours, old = ((each * mask).sum(1) for each in (logps, old_logps))
    loss = clipped(ours, old, advantages, options).sum() / window.sequences
    ratios, sequences = (ours - old).detach().exp(), advantages.new_tensor(len(advantages))
    low = ((ratios < 1 - options.epsilon) & (advantages < 0)).float()
    high = ((ratios > 1 + options.epsilon_high) & (advantages > 0)).float()
    shares = {
        "entropy": ((entropy * mask).sum(), mask.sum()),
        "clip_ratio/low_mean": (low.sum(), sequences),
        "clip_ratio/high_mean": (high.sum(), sequences),
        "clip_ratio/region_mean": ((low + high).sum(), sequences),
    }
    largest = {"clip_ratio/high_max": high.max()}
    if sampler_logps is not None:
        gaps = (old_logps - sampler_logps).nan_to_num(0.0).abs() * mask
        known = mask * ~sampler_logps.isnan()
        shares["sampling/sampling_logp_difference/mean"] = (gaps.sum(), known.sum())
        largest["sampling/sampling_logp_difference/max"] = gaps.max()
    return Step(loss, shares, {"clip_ratio/low_min": low.min()}, largest)
