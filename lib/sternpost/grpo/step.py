"""The scores of a micro-batch -> its share of the optimizer step's loss, and metrics."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..metrics import Share
from .correction import correction, off_policy_mask, top_entropy_mask
from .loss import LOSSES, Scored, Window, clip_fractions, clipped, kl, vespo_weights
from .rollout import Rollout


@dataclass
class Step:
    """What a micro-batch comes to."""

    loss: Float[Tensor, ""]
    """Its share, on this rank: those of all micro-batches and ranks of the step add up to the loss."""
    learned_entropy: Share
    """Of the tokens that are learned: sum, and number."""
    shares: dict[str, Share] = field(default_factory=dict)
    smallest: dict[str, Tensor] = field(default_factory=dict)
    largest: dict[str, Tensor] = field(default_factory=dict)


def step(
    logps: Float[Tensor, "N C"],
    entropy: Float[Tensor, "N C"],
    rollout: Rollout,
    window: Window,
    args: Any,
    corrected: bool,
    entropy_coef: float | None = None,
    unsure: tuple[Float[Tensor, ""], Float[Tensor, ""]] | None = None,
) -> Step:
    """Loss and metrics of a micro-batch.

    `corrected`: what another engine drew is weighted. `entropy_coef`: None without a bonus. `unsure`: the entropy that
    a token must have to be learned from, and how many tokens have it on all ranks; None if all are learned.
    """
    mask = rollout.mask.to(logps)
    old = logps.detach() if rollout.old_logps is None else rollout.old_logps
    drawn = old if rollout.sampler_logps is None else rollout.sampler_logps.where(~rollout.sampler_logps.isnan(), old)
    if rollout.replayed is not None:
        old = old.where(rollout.replayed == 0, drawn)
    known = (entropy * mask).sum(), mask.sum()
    found = Step(logps.new_zeros(()), known, {"entropy": known})
    if rollout.sampler_logps is not None:
        gaps = (old - drawn).abs() * mask
        said = mask * ~rollout.sampler_logps.isnan()
        found.shares["sampling/sampling_logp_difference/mean"] = (gaps.sum(), said.sum())
        found.largest["sampling/sampling_logp_difference/max"] = gaps.max()
    weights = sampler_weights(found, old, drawn, mask, args) if corrected else None
    folded = None
    if weights is not None and args.loss_type == "vespo":  # which has them in the weights of its sequences
        folded = weights.log() / (mask.sum(1, keepdim=True).clamp(min=1) if weights.size(1) == 1 else 1)
        weights = None
    scored = Scored(logps, old, mask, rollout.advantages, folded)
    objective, average = LOSSES[args.loss_type]
    per_token = objective(scored, args)
    if args.off_policy_mask_threshold is not None:
        kept = off_policy_mask(logps, drawn, mask, rollout.advantages, args.off_policy_mask_threshold)
        per_token = per_token * kept
    chosen = mask if unsure is None else top_entropy_mask(entropy, mask, unsure[0])
    per_token = per_token * chosen
    found.learned_entropy = ((entropy * chosen).sum(), chosen.sum())
    if weights is not None:
        per_token = per_token * weights
    if rollout.ref_logps is not None:
        divergence = kl(logps, rollout.ref_logps, old if args.use_bias_correction_kl else None)
        per_token = per_token + args.beta * divergence
        found.shares["kl"] = ((divergence * mask).sum(), mask.sum())
    found.loss = (per_token * mask * average(mask, window)).sum()
    if entropy_coef is not None:
        found.shares["policy_loss"] = (found.loss, len(mask) / window.sequences)
        tokens = window.tokens if unsure is None else unsure[1] * window.micro_batches
        found.loss = found.loss - entropy_coef * found.learned_entropy[0] / tokens.clamp(min=1)
    add_ratios(found, scored, args)
    return found


def sampler_weights(
    found: Step, old: Float[Tensor, "N C"], drawn: Float[Tensor, "N C"], mask: Float[Tensor, "N C"], args: Any
) -> Float[Tensor, "N #C"]:
    """What completions of another engine are weighted with."""
    low, high = args.vllm_importance_sampling_clip_min, args.vllm_importance_sampling_clip_max
    weights = correction(old, drawn, mask, args.vllm_importance_sampling_mode, high, low)
    there = mask > 0 if weights.size(1) > 1 else torch.ones_like(weights, dtype=torch.bool)
    name = "sampling/importance_sampling_ratio"
    found.shares[f"{name}/mean"] = ((weights * there).sum(), there.sum())
    found.smallest[f"{name}/min"] = weights.masked_fill(~there, math.inf).min()
    found.largest[f"{name}/max"] = weights.masked_fill(~there, -math.inf).max()
    return weights


def add_ratios(found: Step, scored: Scored, args: Any) -> None:
    """The metrics of the ratios, which depend on the objective."""
    mask, sequences = scored.mask, scored.mask.new_tensor(len(scored.mask))
    whole = args.importance_sampling_level == "sequence"

    def mean(per_sequence: Tensor, per_token: Tensor) -> Share:
        return (per_sequence.sum(), sequences) if whole else (per_token.sum(), mask.sum())

    if LOSSES[args.loss_type][0] is clipped:
        low, high = clip_fractions(scored, args)
        lows, highs = ((each.sum(1, keepdim=True) / scored.lengths)[:, 0] for each in (low, high))
        found.shares["clip_ratio/low_mean"] = mean(lows, low)
        found.shares["clip_ratio/high_mean"] = mean(highs, high)
        found.shares["clip_ratio/region_mean"] = mean(lows + highs, low + high)
        unlearned = mask.sum(1) == 0
        found.smallest["clip_ratio/low_min"] = lows.masked_fill(unlearned, math.inf).min()
        found.largest["clip_ratio/high_max"] = highs.max()
    elif args.loss_type == "cispo":
        ratios = scored.log_ratios(args.importance_sampling_level).exp()
        cut = ((ratios > args.epsilon_high) & (scored.advantages[:, None] > 0)) * mask
        found.shares["cispo_clip_ratio"] = mean((cut.sum(1, keepdim=True) / scored.lengths)[:, 0], cut)
    elif args.loss_type == "vespo":
        found.shares["vespo/phi_seq_mean"] = (vespo_weights(scored, args).sum(), sequences)
