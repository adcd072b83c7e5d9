"""REINFORCE leave-one-out (https://huggingface.co/papers/2402.14740): rewards -> advantages -> loss.

N completions, of which each G in a row share a prompt. A completion is one action: its log-probability is the sum over
its tokens, and its ratio pi/old is that of the whole.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

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

    `normalize` also centres and scales them over all completions (REINFORCE++, 2501.03262).
    """
    grouped = rewards.view(-1, group)
    known = ~grouped.isnan()
    values = grouped.where(known, 0)
    others = known.sum(1, keepdim=True) - known.long()
    mean = (values.sum(1, keepdim=True) - values) / others.clamp(min=1)
    found = (grouped - mean).where(known & (others > 0), 0).flatten()
    if normalize:
        found = (found - found.mean()) / (found.std() + TINY)
    return found


def clipped(
    logps: Float[Tensor, "N"], old_logps: Float[Tensor, "N"], advantages: Float[Tensor, "N"], options: LossOptions
) -> Float[Tensor, "N"]:
    """`-min(rho A, clip(rho, 1 - e_low, 1 + e_high) A)`, rho the ratio of the whole completion."""
    ratios = (logps - old_logps).clamp(max=LOG_LIMIT).exp()
    near = ratios.clamp(1 - options.epsilon, 1 + options.epsilon_high)
    return -torch.minimum(ratios * advantages, near * advantages)
