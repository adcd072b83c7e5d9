"""The losses of group-relative policy optimisation: a pair of an objective per token and an average over tokens.

N completions of at most C tokens. pi is the policy, old the policy that they count as drawn from, mu what they really
were drawn with (another engine, or weights that are a step behind), ref the reference; A is the advantage, m the mask.

    loss = sum over tokens of m * (correction * objective + beta * KL) * average - entropy_coef * mean entropy

To add a loss, write its objective, or its average, and name the pair in `LOSSES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from .contract import ImportanceSamplingLevel

LOG_LIMIT = 20.0
"""Log-ratios are cut there before they are exponentiated: exp(20) is 5e8."""


@runtime_checkable
class LossOptions(Protocol):
    """What the losses read of `GRPOConfig`, which documents it."""

    @property
    def epsilon(self) -> float: ...
    @property
    def epsilon_high(self) -> float: ...
    @property
    def delta(self) -> float | None: ...
    @property
    def importance_sampling_level(self) -> ImportanceSamplingLevel: ...
    @property
    def sapo_temperature_pos(self) -> float: ...
    @property
    def sapo_temperature_neg(self) -> float: ...
    @property
    def vespo_k_pos(self) -> float: ...
    @property
    def vespo_lambda_pos(self) -> float: ...
    @property
    def vespo_k_neg(self) -> float: ...
    @property
    def vespo_lambda_neg(self) -> float: ...


@dataclass(frozen=True)
class Scored:
    """The completions of a micro-batch, scored."""

    logps: Float[Tensor, "N C"]
    """log pi of each token, with gradient."""
    old_logps: Float[Tensor, "N C"]
    mask: Float[Tensor, "N C"]
    """One for the tokens that are learned."""
    advantages: Float[Tensor, "N"]
    log_correction: Float[Tensor, "N C"] | None = None
    """log of the correction for mu, which `vespo` reads into its weight."""

    @property
    def lengths(self) -> Float[Tensor, "N 1"]:
        return self.mask.sum(1, keepdim=True).clamp(min=1)

    def log_ratios(self, level: ImportanceSamplingLevel) -> Float[Tensor, "N C"]:
        """log pi/old of each token, or of its sequence, which is their mean (GSPO, 2507.18071, eq. 7)."""
        ratios = (self.logps - self.old_logps).clamp(max=LOG_LIMIT)
        if level == "token":
            return ratios
        return ((ratios * self.mask).sum(1, keepdim=True) / self.lengths).expand_as(ratios)


@dataclass(frozen=True)
class Window:
    """What an optimizer step holds in all, over micro-batches and ranks."""

    sequences: Float[Tensor, ""]
    tokens: Float[Tensor, ""]
    micro_batches: int
    max_completion_length: int


Objective = Callable[[Scored, LossOptions], Float[Tensor, "N C"]]
Average = Callable[[Float[Tensor, "N C"], Window], Float[Tensor, "N #C"]]
"""Mask and window -> what each token's objective is multiplied by, so that micro-batches add up to the step's loss."""

# ---- Objectives


def clipped(scored: Scored, options: LossOptions) -> Float[Tensor, "N C"]:
    """`-min(rho A, clip(rho, 1 - e_low, 1 + e_high) A)`; PPO, 1707.06347, eq. 7.

    `delta` bounds rho in the unclipped term too, so that a negative advantage cannot make a step of any size
    (INTELLECT-2, 2505.07291, section 3.4).
    """
    advantages = scored.advantages[:, None]
    ratios = scored.log_ratios(options.importance_sampling_level).exp()
    bounded = ratios if options.delta is None else ratios.clamp(max=options.delta)
    near = ratios.clamp(1 - options.epsilon, 1 + options.epsilon_high)
    return -torch.minimum(bounded * advantages, near * advantages)


def cispo(scored: Scored, options: LossOptions) -> Float[Tensor, "N C"]:
    """`-sg(min(rho, e_high)) A log pi`: every token keeps a gradient; MiniMax-M1, 2506.13585, eq. 4."""
    ratios = scored.log_ratios(options.importance_sampling_level).exp()
    return -ratios.clamp(max=options.epsilon_high).detach() * scored.advantages[:, None] * scored.logps


def sapo(scored: Scored, options: LossOptions) -> Float[Tensor, "N C"]:
    """`-(4 / tau) s(tau (rho - 1)) A`, with a tau for positive and one for negative advantages; 2511.20347, eq. 5."""
    advantages = scored.advantages[:, None]
    ratios = scored.log_ratios(options.importance_sampling_level).exp()
    tau = chosen(advantages > 0, options.sapo_temperature_pos, options.sapo_temperature_neg, advantages)
    return -4 / tau * torch.sigmoid(tau * (ratios - 1)) * advantages


def vespo(scored: Scored, options: LossOptions) -> Float[Tensor, "N C"]:
    """`-phi(w) A log pi`, w the weight of the whole sequence; 2602.10693."""
    return -(vespo_weights(scored, options) * scored.advantages)[:, None] * scored.logps


def vespo_weights(scored: Scored, options: LossOptions) -> Float[Tensor, "N"]:
    """`phi(w) = w^k exp(lambda (1 - w))`, with a k and a lambda for good and for bad completions; without gradient."""
    log_weights = (scored.logps - scored.old_logps).clamp(-LOG_LIMIT, LOG_LIMIT)
    if scored.log_correction is not None:
        log_weights = log_weights + scored.log_correction.clamp(min=-LOG_LIMIT, max=LOG_LIMIT)
    log_weights = (log_weights * scored.mask).sum(1).clamp(-LOG_LIMIT, LOG_LIMIT)
    good = scored.advantages >= 0
    k = chosen(good, options.vespo_k_pos, options.vespo_k_neg, log_weights)
    steepness = chosen(good, options.vespo_lambda_pos, options.vespo_lambda_neg, log_weights)
    return (steepness + k * log_weights - steepness * log_weights.exp()).exp().detach()


def chosen(which: Tensor, yes: float, no: float, like: Tensor) -> Tensor:
    """One of two numbers, in the dtype of another tensor."""
    return torch.full_like(like, no).masked_fill(which, yes)


# ---- Averages


def per_sequence(mask: Float[Tensor, "N C"], window: Window) -> Float[Tensor, "N #C"]:
    """The mean over the tokens of each completion, then over completions: each completion counts alike."""
    return 1 / (mask.sum(1, keepdim=True).clamp(min=1) * window.sequences)


def per_token(mask: Float[Tensor, "N C"], window: Window) -> Float[Tensor, "N #C"]:
    """The mean over all tokens of the optimizer step: each token counts alike."""
    return (1 / window.tokens.clamp(min=1)).expand(len(mask), 1)


def per_local_token(mask: Float[Tensor, "N C"], window: Window) -> Float[Tensor, "N #C"]:
    """The mean over the tokens of each micro-batch, then over micro-batches."""
    return (1 / (mask.sum().clamp(min=1) * window.micro_batches)).expand(len(mask), 1)


def per_place(mask: Float[Tensor, "N C"], window: Window) -> Float[Tensor, "N #C"]:
    """The sum divided by a constant, the places that there are for tokens: length changes nothing."""
    return (1 / (window.sequences * window.max_completion_length)).expand(len(mask), 1)


def summed(mask: Float[Tensor, "N C"], window: Window) -> Float[Tensor, "N #C"]:
    """The sum over the tokens of each completion, then the mean over completions."""
    return (1 / window.sequences).expand(len(mask), 1)


LOSSES: dict[str, tuple[Objective, Average]] = {
    "grpo": (clipped, per_sequence),  # DeepSeekMath, 2402.03300, eq. 3
    "dapo": (clipped, per_token),  # 2503.14476, eq. 8
    "bnpo": (clipped, per_local_token),
    "dr_grpo": (clipped, per_place),  # 2503.20783, eq. 3
    "luspo": (clipped, summed),  # 2602.05261
    "cispo": (cispo, per_token),
    "sapo": (sapo, per_sequence),
    "vespo": (vespo, per_token),
}
"""`loss_type` -> what a token contributes, and how contributions are averaged."""


# ---- What is added to every objective


def kl(
    logps: Float[Tensor, "N C"], ref_logps: Float[Tensor, "N C"], old_logps: Float[Tensor, "N C"] | None = None
) -> Float[Tensor, "N C"]:
    """Estimate of KL(pi, ref) from each token: `exp(d) - d - 1`, d = log ref/pi; http://joschu.net/blog/kl-approx.html.

    Tokens were drawn from old: with `old_logps` each is weighted by its own ratio pi/old, which makes the estimate of
    value and gradient unbiased. The ratio is the token's also where the objective's is the sequence's.
    """
    gap = (ref_logps - logps).clamp(-LOG_LIMIT, LOG_LIMIT)
    estimate = gap.exp() - gap - 1
    return estimate if old_logps is None else estimate * (logps - old_logps).clamp(max=LOG_LIMIT).exp()


def clip_fractions(scored: Scored, options: LossOptions) -> tuple[Float[Tensor, "N C"], Float[Tensor, "N C"]]:
    """Which tokens `clipped` gives no gradient because their ratio is too low, and too high."""
    advantages = scored.advantages[:, None]
    ratios = scored.log_ratios(options.importance_sampling_level).exp()
    low = (ratios < 1 - options.epsilon) & (advantages < 0)
    high = (ratios > 1 + options.epsilon_high) & (advantages > 0)
    return low * scored.mask, high * scored.mask
