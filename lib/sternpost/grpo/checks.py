"""What options of group-relative policy optimisation can be, by themselves and together."""

import math
import warnings
from typing import Any

from ..generation.options import Readers, check_read

READERS: Readers = (
    (
        ("entropy_target", "entropy_coef_min", "entropy_coef_max", "entropy_coef_delta"),
        lambda args: args.use_adaptive_entropy,
        "where `entropy_coef` changes while training",
        "`use_adaptive_entropy=True`",
    ),
    (
        ("importance_sampling_level",),
        lambda args: args.loss_type != "vespo",
        "by other losses than `vespo`, which has a weight for each sequence anyway",
        "another `loss_type`",
    ),
)
"""Options that without others would do nothing; more are in generation/options.py."""


def check_numbers(args: Any) -> None:
    """Raise for numbers that are out of range."""
    for name in ("num_iterations", "ref_model_sync_steps"):
        if getattr(args, name) < 1:
            raise ValueError(f"`{name}={getattr(args, name)}` must be at least 1.")
    for name in ("dynamic_sampling_rounds", "replay_groups", "beta", "entropy_coef_delta"):
        if not getattr(args, name) >= 0:
            raise ValueError(f"`{name}={getattr(args, name)}` must not be negative; 0 turns it off.")
    for name in ("sapo_temperature_pos", "sapo_temperature_neg", "vespo_lambda_pos", "vespo_lambda_neg"):
        if not (getattr(args, name) > 0 and math.isfinite(getattr(args, name))):
            raise ValueError(f"`{name}={getattr(args, name)}` must be positive.")
    if args.router_aux_loss_coef is not None and args.router_aux_loss_coef < 0:
        raise ValueError(f"`router_aux_loss_coef={args.router_aux_loss_coef}` must not be negative. 0 turns it off.")
    if not 0 <= args.epsilon < 1:
        raise ValueError(f"`epsilon={args.epsilon}` must be from 0 to below 1.")
    if not args.epsilon_high >= 0:
        raise ValueError(f"`epsilon_high={args.epsilon_high}` must not be negative.")
    most = 1 + args.epsilon_high
    if args.delta is not None and not args.delta > most:
        raise ValueError(f"`delta={args.delta}` must be above `1 + epsilon_high={most}`, else it would replace it.")
    if not 0 < args.top_entropy_quantile <= 1:
        raise ValueError(f"`top_entropy_quantile={args.top_entropy_quantile}` is a share: above 0, at most 1.")
    if not 0 < args.ref_model_mixup_alpha <= 1:
        raise ValueError(f"`ref_model_mixup_alpha={args.ref_model_mixup_alpha}` is a share: above 0, at most 1.")
    if args.off_policy_mask_threshold is not None and math.isnan(args.off_policy_mask_threshold):
        raise ValueError(
            f"`off_policy_mask_threshold={args.off_policy_mask_threshold}` must be a number of nats. Leave it out to "
            "learn from all completions."
        )
    low, high = args.vllm_importance_sampling_clip_min, args.vllm_importance_sampling_clip_max
    if (high is not None and high <= 0) or (low is not None and (low < 0 or low >= (high or math.inf))):
        raise ValueError(
            f"`vllm_importance_sampling_clip_min={low}` and `vllm_importance_sampling_clip_max={high}` bound a weight: "
            "both are positive, and the first is below the second."
        )


def check_combinations(args: Any) -> None:
    """Raise for options that exclude each other, or would do nothing; warn of those that do little."""
    check_read(args, READERS)
    if args.loss_type == "cispo" and args.epsilon_high < 1:
        warnings.warn(
            f"`loss_type='cispo'` with `epsilon_high={args.epsilon_high}`: it is the largest ratio itself, not what is "
            "above 1, so that every token that is as likely as when it was drawn counts that much only. The paper "
            "takes 5.0; set `epsilon_high`.",
            stacklevel=4,
        )
    if args.sync_ref_model and not args.beta:
        raise ValueError("`sync_ref_model=True`, but `beta=0` needs no reference. Set `beta`, or leave it out.")
    if args.use_adaptive_entropy and not args.entropy_coef_min <= args.entropy_coef <= args.entropy_coef_max:
        raise ValueError(
            f"`entropy_coef={args.entropy_coef}` is where the adaptive coefficient begins: from `entropy_coef_min="
            f"{args.entropy_coef_min}` to `entropy_coef_max={args.entropy_coef_max}`."
        )
    if args.delta is not None and args.loss_type in ("cispo", "sapo", "vespo"):
        raise ValueError(
            f"`delta={args.delta}` bounds a term that `loss_type={args.loss_type!r}` has not. Leave it out."
        )
    if args.multi_objective_aggregation == "normalize_then_sum" and args.scale_rewards != "group":
        raise ValueError(
            f"`scale_rewards={args.scale_rewards!r}` has no meaning with `multi_objective_aggregation="
            "'normalize_then_sum'`, which scales each reward by itself. Leave one of them out."
        )
    if args.replay_groups and args.repetition_penalty != 1:
        raise ValueError(
            f"`replay_groups={args.replay_groups}` weighs completions by how they were drawn, which "
            f"`repetition_penalty={args.repetition_penalty}` changes. Leave one of them out."
        )
    completions = args.per_device_train_batch_size * max(args.steps_per_generation, args.gradient_accumulation_steps)
    if args.replay_groups and completions % args.num_generations:
        raise ValueError(
            f"`replay_groups={args.replay_groups}` keeps whole groups on each process, but a generation makes "
            f"{completions} completions on each, which is no multiple of `num_generations={args.num_generations}`."
        )
    if args.use_liger_kernel:
        raise ValueError(
            "`use_liger_kernel=True` would replace the model's loss, which Sternpost computes itself without holding "
            "the logits. Leave it out."
        )
    if args.label_smoothing_factor:
        raise ValueError(f"`label_smoothing_factor={args.label_smoothing_factor}` has no meaning here. Leave it out.")
    if args.auto_find_batch_size:
        raise ValueError(
            "`auto_find_batch_size=True` would change how many completions there are while they are compared. Lower "
            "`per_device_train_batch_size` and raise `gradient_accumulation_steps` instead."
        )
