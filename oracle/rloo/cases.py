"""The table of cases that must be equal in both libraries: rewards x references x clipping x generations.

By default there is a reference with other weights than the policy, and a generation is learned from once.
"""

from typing import Any

from ..online import CLIPPED, OnlineCase

MEANS = ("entropy", *CLIPPED)
"""Means over tokens, smallest and largest values, which the peer averages over micro-batches."""
SILENT = ("frac_reward_zero_std",)
"""Of rewards as they are in our library, and of rewards less divergence in the peer."""
TWICE: dict[str, Any] = {"num_iterations": 2, "max_steps": 4, "learning_rate": 0.001, "epsilon": 0.2}
"""Each generation is learned from twice, with steps that are large enough for ratios to be clipped."""
PARTS: dict[str, Any] = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
"""An optimizer step of two micro-batches."""
STEPS: dict[str, Any] = TWICE | {"num_iterations": 1, "steps_per_generation": 2, "per_device_train_batch_size": 4}
"""Two optimizer steps learn from the halves of a generation."""
SLOW: dict[str, Any] = {"learning_rate": 0.002}
"""Gradients are sums over tokens, which are larger than means."""


def case(options: dict[str, Any] | None = None, rows: str = "prompt", **more: Any) -> OnlineCase:
    return OnlineCase(rows, SLOW | (options or {}), **more)


DIVERGENCES = {
    "by default": case(),
    "without a reference": case({"beta": 0.0}),
    "beta=0.5": case({"beta": 0.5}),
    "twice": case(TWICE),
    "twice, without a reference": case(TWICE | {"beta": 0.0}),
    "twice, beta=0.5": case(TWICE | {"beta": 0.5}),
    "the policy at the start": case(TWICE | {"beta": 0.5}, reference="start"),
    "synchronised reference": case(
        TWICE | {"beta": 0.5, "sync_ref_model": True, "ref_model_sync_steps": 1}, reference="start"
    ),
    "LoRA": case(TWICE | {"beta": 0.2, "learning_rate": 0.05}, adapter="new"),
    "LoRA, accumulated": case(PARTS | {"beta": 0.2, "learning_rate": 0.05}, adapter="new", unlike=MEANS),
    "trained adapter": case(TWICE | {"beta": 0.2, "learning_rate": 0.05}, "prompt_chat", adapter="given"),
}
ADVANTAGES = {
    "normalised": case({"normalize_advantages": True}),
    "normalised, twice": case(TWICE | {"normalize_advantages": True, "beta": 0.2}),
    "normalised, rewards of some completions": case({"normalize_advantages": True}, rewards=("sometimes",)),
    "rewards cut": case({"reward_clip_range": (0.9, 1.3)}),
    "rewards cut and normalised": case({"reward_clip_range": (0.9, 1.3), "normalize_advantages": True, "beta": 0.5}),
    "several rewards": case(rewards=("variety", "near_aim", "echoes")),
    "several rewards, weighted": case(
        {"reward_weights": [1.0, 0.5, -2.0]}, "prompt_chat", rewards=("variety", "near_aim", "echoes")
    ),
    "several rewards, weighted and cut": case(
        {"reward_weights": [1.0, 0.5], "reward_clip_range": (-0.5, 1.0)}, rewards=("variety", "near_aim")
    ),
    "rewards of some completions": case(rewards=("sometimes",)),
    "rewards of some completions, without a reference": case({"beta": 0.0}, rewards=("rarely", "sometimes")),
    "groups without signal": case({"beta": 0.0}, rewards=("seldom",)),
    "groups without signal, with a reference": case(rewards=("seldom",), unlike=SILENT),
    "a reward model": case({"reward_weights": [1.0, 0.1]}, "prompt_chat", rewards=("judge", "variety")),
    "a metric of a reward": case(rewards=("noted",)),
    "two completions of a prompt": case({"num_generations": 2}, "prompt_chat", unlike=SILENT),
    "eight completions of a prompt": case({"num_generations": 8}),
}
CLIPPING = {
    "epsilon": case(TWICE | {"epsilon": 0.1}),
    "epsilon_high": case(TWICE | {"epsilon_high": 0.3}),
    "three iterations": case(TWICE | {"num_iterations": 3, "max_steps": 6}),
    "in two steps": case(STEPS),
    "in two steps, normalised": case(STEPS | {"normalize_advantages": True}),
}
ACCUMULATED = {
    "accumulated": case(PARTS, unlike=MEANS),
    "accumulated, normalised": case(PARTS | {"normalize_advantages": True, "beta": 0.5}, "prompt_chat", unlike=MEANS),
    "twice, accumulated": case(TWICE | PARTS, unlike=MEANS),
    "twice in two accumulated steps": case(
        STEPS | PARTS | {"num_iterations": 2, "steps_per_generation": 4, "per_device_train_batch_size": 2},
        unlike=MEANS,
    ),
}
MASKS = {
    "truncated completions masked": case({"mask_truncated_completions": True}),
    "truncated completions masked, twice": case(TWICE | {"mask_truncated_completions": True, "beta": 0.5}),
    "truncated completions masked, accumulated": case(PARTS | {"mask_truncated_completions": True}, unlike=MEANS),
}
MODELS = {
    **{f"model {name}": case(TWICE, model=name) for name in ("untied", "softcap", "scaled")},
    "learned positions": case(TWICE, "equal_prompts", model="positions"),
    "experts, router_aux_loss_coef=0": case({"router_aux_loss_coef": 0.0}, model="moe"),
    "conversations": case(TWICE, "prompt_chat"),
    "temperature": case(TWICE | {"temperature": 0.7}),
    "padded to a multiple": case({"pad_to_multiple_of": 16}, "prompt_chat"),
    "gradient checkpointing": case(TWICE | {"gradient_checkpointing": True}),
    "dropout is off": case({"disable_dropout": True}, "equal_prompts", model="dropout"),
    "evaluated": case({"per_device_eval_batch_size": 48}, evaluated=True),
}
CASES = DIVERGENCES | ADVANTAGES | CLIPPING | ACCUMULATED | MASKS | MODELS
