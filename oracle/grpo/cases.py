"""The table of cases that must be equal in both libraries: losses x generations x references x corrections x rewards.

By default a generation is learned from once, and the reference, where there is one, has other weights than the policy.
"""

from typing import Any, get_args

from sternpost.grpo.contract import CorrectionMode, LossType

from ..online import CLIPPED, LENGTHS, OnlineCase
from .run import FURTHER

LOSSES = get_args(LossType)
BY_TOKENS = ("dapo", "cispo", "vespo")
"""Losses that are averaged over the tokens of an optimizer step, which the peer only estimates in some settings."""
MEANS = ("entropy", "kl", *CLIPPED, "cispo_clip_ratio")
"""Means over tokens, smallest and largest values, which the peer averages over micro-batches."""
SPREADS = ("reward_std", "rewards/variety/std", *LENGTHS)
"""Of a generation, which the peer averages over the generations of an optimizer step."""
SILENT = ("frac_reward_zero_std",)
"""Of groups in our library, whatever advantages are divided by."""
MISMATCH = tuple(name for name in FURTHER if name.startswith("sampling/"))
"""Logged in each optimizer step by us, and in those with a generation by the peer."""
TWICE: dict[str, Any] = {"num_iterations": 2, "max_steps": 4, "learning_rate": 0.02, "epsilon": 0.1}
"""Each generation is learned from twice, with steps that are large enough for ratios to be clipped."""
LORA: dict[str, Any] = TWICE | {"learning_rate": 0.1}
PARTS: dict[str, Any] = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
"""An optimizer step of two micro-batches."""
STEPS: dict[str, Any] = TWICE | {"num_iterations": 1, "steps_per_generation": 2, "per_device_train_batch_size": 4}
"""Two optimizer steps learn from the halves of a generation."""


def case(options: dict[str, Any] | None = None, rows: str = "prompt", **more: Any) -> OnlineCase:
    """Without correction for the sampler, which the peer only makes for vLLM."""
    ours = {"vllm_importance_sampling_correction": False} | more.pop("ours", {})
    return OnlineCase(rows, options or {}, ours=ours, **more)


def corrected(mode: CorrectionMode, options: dict[str, Any], unlike: tuple[str, ...] = (), **more: Any) -> OnlineCase:
    """With correction for a sampler that is not quite the policy."""
    options = {"vllm_importance_sampling_mode": mode} | options
    reused = options.get("num_iterations", 1) * options.get("steps_per_generation", 1) > 1
    unlike += MISMATCH * reused
    return OnlineCase("prompt", options, peer={"use_vllm": True}, noise=0.2, unlike=unlike, **more)


def loss(name: str, **options: Any) -> dict[str, Any]:
    needed: dict[str, Any] = {"epsilon_high": 1.02} if name == "cispo" else {}  # the largest ratio; few are above
    if name == "luspo":
        needed["learning_rate"] = 0.005  # its sums over tokens are larger than means
    return {"loss_type": name} | needed | options


PLAIN = (
    {name: case(loss(name)) for name in LOSSES}
    | {f"{name}, twice": case(TWICE | loss(name)) for name in LOSSES}
    | {f"{name}, twice, with a reference": case(TWICE | loss(name, beta=0.1)) for name in LOSSES}
    | {f"{name}, in two steps": case(STEPS | loss(name)) for name in LOSSES if name not in BY_TOKENS}
)
LEVELS = {
    f"{name}, ratios of sequences": case(TWICE | loss(name, importance_sampling_level="sequence", **options))
    for name, options in (
        ("grpo", {"epsilon": 0.05}),
        ("dapo", {"epsilon": 0.05}),
        ("bnpo", {"epsilon": 0.05}),
        ("dr_grpo", {"epsilon": 0.02}),
        ("luspo", {"epsilon": 0.05}),
        ("cispo", {"epsilon_high": 1.01}),
        ("sapo", {}),
    )
} | {
    "ratios of sequences, a reference without bias correction": case(
        TWICE | loss("grpo", importance_sampling_level="sequence", beta=0.1, use_bias_correction_kl=False)
    ),
    "ratios of sequences, in two steps": case(STEPS | loss("grpo", importance_sampling_level="sequence", epsilon=0.05)),
}
CLIPPING = {
    "delta": case(TWICE | loss("grpo", delta=1.15)),
    "delta, ratios of sequences": case(
        TWICE | loss("grpo", delta=1.08, epsilon=0.03, importance_sampling_level="sequence")
    ),
    "epsilon_high": case(TWICE | {"epsilon_high": 0.2}),
    "epsilon_high and delta": case(TWICE | loss("dr_grpo", epsilon_high=0.1, delta=1.2)),
    "sapo, temperatures": case(TWICE | loss("sapo", sapo_temperature_pos=0.5, sapo_temperature_neg=3.0)),
    "vespo, exponents": case(
        TWICE | loss("vespo", vespo_k_pos=1.0, vespo_lambda_pos=1.5, vespo_k_neg=2.0, vespo_lambda_neg=0.5)
    ),
    "three iterations": case(TWICE | {"num_iterations": 3, "max_steps": 6}),
}
ACCUMULATED = (
    {f"{name}, accumulated": case(PARTS | loss(name), unlike=MEANS) for name in LOSSES}
    | {
        f"{name}, twice, accumulated": case(TWICE | PARTS | loss(name, beta=0.1), unlike=MEANS)
        for name in ("grpo", "dapo", "cispo")
    }
    | {
        "twice in two accumulated steps": case(
            STEPS | PARTS | loss("grpo", num_iterations=2, steps_per_generation=4, per_device_train_batch_size=2),
            unlike=MEANS,
        ),
        "a generation for each micro-batch": case(
            {"gradient_accumulation_steps": 2, "steps_per_generation": 1, "beta": 0.1} | loss("grpo"),
            unlike=(*MEANS, *SPREADS),
        ),
    }
)
REFERENCES = {
    "a reference without bias correction": case(TWICE | {"beta": 0.5, "use_bias_correction_kl": False}),
    "the policy at the start": case(TWICE | {"beta": 0.5}, reference="start"),
    "synchronised reference": case(
        TWICE | {"beta": 0.5, "sync_ref_model": True, "ref_model_sync_steps": 1}, reference="start"
    ),
    "synchronised reference, every second step": case(
        {"beta": 0.5, "sync_ref_model": True, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 0.3, "max_steps": 4}
    ),
    "LoRA": case(LORA, adapter="new"),
    "LoRA, with a reference": case(LORA | {"beta": 0.1}, adapter="new"),
    "LoRA, gradient checkpointing": case(LORA | {"beta": 0.1, "gradient_checkpointing": True}, adapter="new"),
    "trained adapter": case(LORA | {"beta": 0.1}, adapter="given"),
    "trained adapter, accumulated": case(PARTS | loss("grpo", beta=0.1), "prompt_chat", adapter="given", unlike=MEANS),
}
MASKS = {
    "truncated completions masked": case({"mask_truncated_completions": True}),
    "truncated completions masked, grpo": case(TWICE | loss("grpo", mask_truncated_completions=True, beta=0.1)),
    "truncated completions masked, accumulated": case(PARTS | {"mask_truncated_completions": True}, unlike=MEANS),
    "half of the tokens": case({"top_entropy_quantile": 0.5}),
    "a fifth of the tokens, with a reference": case(TWICE | loss("grpo", top_entropy_quantile=0.2, beta=0.1)),
    "half of the tokens, accumulated": case(PARTS | loss("grpo", top_entropy_quantile=0.5), unlike=MEANS),
    "half of the tokens, cispo": case(TWICE | loss("cispo", top_entropy_quantile=0.5)),
    "off-policy mask": case(TWICE | {"off_policy_mask_threshold": 0.01}),
    "off-policy mask of the sampler": case({"off_policy_mask_threshold": 0.0}, noise=0.2, unlike=MISMATCH),
    "off-policy mask of the sampler, twice, grpo": case(
        TWICE | loss("grpo", off_policy_mask_threshold=0.02, beta=0.1), noise=0.2, unlike=MISMATCH
    ),
    **{
        f"tokens from elsewhere, {name}": case(TWICE | loss(name, beta=0.1), tools=True)
        for name in ("grpo", "dapo", "dr_grpo", "vespo")
    },
    "tokens from elsewhere, ratios of sequences": case(
        TWICE | loss("grpo", importance_sampling_level="sequence"), "prompt_chat", tools=True
    ),
    "tokens from elsewhere, truncated completions masked": case({"mask_truncated_completions": True}, tools=True),
    "tokens from elsewhere, half of the tokens, accumulated": case(
        PARTS | {"top_entropy_quantile": 0.5}, tools=True, unlike=MEANS
    ),
}
ENTROPY = {
    "entropy bonus": case(TWICE | {"entropy_coef": 0.1}),
    "entropy bonus, grpo, with a reference": case(TWICE | loss("grpo", entropy_coef=0.1, beta=0.1)),
    "entropy bonus of half of the tokens": case(TWICE | {"entropy_coef": 0.1, "top_entropy_quantile": 0.5}),
    "entropy bonus of half of the tokens, accumulated": case(
        PARTS | loss("grpo", entropy_coef=0.1, top_entropy_quantile=0.5), unlike=MEANS
    ),
    "entropy bonus, tokens from elsewhere": case({"entropy_coef": 0.1}, tools=True),
    "entropy malus": case({"entropy_coef": -0.1}),
    "adaptive entropy, below the target": case(
        TWICE | {"use_adaptive_entropy": True, "entropy_target": 5.8, "entropy_coef_delta": 0.05}
    ),
    "adaptive entropy, above the target": case(
        TWICE | {"use_adaptive_entropy": True, "entropy_coef": 0.2, "entropy_target": 1.0, "entropy_coef_delta": 0.05}
    ),
    "adaptive entropy of a fifth of the tokens": case(
        TWICE | {"use_adaptive_entropy": True, "entropy_target": 5.63, "top_entropy_quantile": 0.2}
    ),
    "adaptive entropy, at the bounds": case(
        TWICE | {"use_adaptive_entropy": True, "entropy_coef": 0.1, "entropy_target": 5.8, "entropy_coef_max": 0.11}
    ),
}
SHAPES = {
    "advantages by the batch": case({"scale_rewards": "batch"}, unlike=SILENT),
    "advantages not scaled": case({"scale_rewards": "none"}),
    "advantages not scaled, False": case({"scale_rewards": False}),
    "several rewards": case(rewards=("variety", "near_aim", "echoes")),
    "several rewards, weighted": case(
        {"reward_weights": [1.0, 0.5, -2.0]}, "prompt_chat", rewards=("variety", "near_aim", "echoes")
    ),
    "several rewards, weighted, by the batch": case(
        {"reward_weights": [1.0, 0.5], "scale_rewards": "batch"}, rewards=("near_aim", "echoes"), unlike=SILENT
    ),
    "each reward normalised": case(
        {"multi_objective_aggregation": "normalize_then_sum"}, rewards=("variety", "near_aim", "echoes"), unlike=SILENT
    ),
    "each reward normalised, weighted": case(
        {"multi_objective_aggregation": "normalize_then_sum", "reward_weights": [0.3, 2.0]},
        rewards=("variety", "near_aim"),
        unlike=SILENT,
    ),
    "rewards of some completions": case(rewards=("sometimes",)),
    "rewards of some completions, by the batch": case(
        {"scale_rewards": "batch"}, rewards=("rarely", "sometimes"), unlike=SILENT
    ),
    "rewards of some completions, not scaled": case({"scale_rewards": "none"}, rewards=("sometimes", "variety")),
    "rewards of few completions": case(rewards=("rarely",), unlike=SILENT),
    "rewards of some completions, each normalised": case(
        {"multi_objective_aggregation": "normalize_then_sum"}, rewards=("rarely", "sometimes"), unlike=SILENT
    ),
    "groups without signal": case({"beta": 0.1}, rewards=("seldom",)),
    "a metric of a reward": case(rewards=("noted",)),
    "a reward model": case({"reward_weights": [1.0, 0.1]}, "prompt_chat", rewards=("judge", "variety")),
    "eight completions of a prompt": case({"num_generations": 8}),
    "two completions of a prompt": case({"num_generations": 2}, "prompt_chat"),
}
CORRECTIONS = (
    {
        f"{mode}, {name}": corrected(mode, TWICE | loss(name))
        for mode in get_args(CorrectionMode)
        for name in ("dapo", "grpo")
    }
    | {
        f"{mode}, both ends": corrected(
            mode, {"vllm_importance_sampling_clip_max": 1.2, "vllm_importance_sampling_clip_min": 0.8}
        )
        for mode in get_args(CorrectionMode)
    }
    | {
        "corrected, accumulated": corrected("token_truncate", PARTS | {"beta": 0.1}, unlike=(*MEANS, *MISMATCH)),
        "corrected, in two steps": corrected("sequence_truncate", STEPS | loss("grpo")),
        "corrected, tokens from elsewhere": corrected("token_mask", TWICE | {"beta": 0.1}, tools=True),
        "corrected, ratios of sequences": corrected(
            "sequence_mask", TWICE | loss("grpo", importance_sampling_level="sequence")
        ),
        "corrected, cispo": corrected("sequence_truncate", TWICE | loss("cispo")),
        "corrected, vespo, token_truncate": corrected("token_truncate", TWICE | loss("vespo")),
        "corrected, vespo, token_mask": corrected("token_mask", loss("vespo")),
        "corrected, off-policy mask": corrected("token_truncate", TWICE | {"off_policy_mask_threshold": 0.02}),
        "corrected, unknown log-probabilities": corrected("sequence_mask", TWICE, unknown=0.3),
        "corrected, at a temperature": corrected("token_truncate", TWICE | {"temperature": 0.7}),
    }
)
MODELS = {
    **{f"model {name}": case(TWICE | {"beta": 0.1}, model=name) for name in ("untied", "softcap", "scaled")},
    "learned positions": case(TWICE | {"beta": 0.1}, "equal_prompts", model="positions"),
    "conversations": case(TWICE | {"beta": 0.1}, "prompt_chat"),
    "temperature": case(TWICE | {"temperature": 0.7, "beta": 0.1}),
    "logits in float32": case(TWICE | {"cast_lm_head_to_fp32": True, "beta": 0.1}, model="untied"),
    "experts, router_aux_loss_coef=0": case({"router_aux_loss_coef": 0.0}, model="moe"),
    "padded to a multiple": case({"pad_to_multiple_of": 16}, "prompt_chat"),
    "dropout is off": case({"disable_dropout": True}, "equal_prompts", model="dropout"),
    "gradient checkpointing": case(TWICE | {"gradient_checkpointing": True}),
    "evaluated": case({"beta": 0.1, "per_device_eval_batch_size": 48}, evaluated=True),
    "evaluated, grpo, other completions": case(
        loss("grpo", num_generations_eval=2, beta=0.1, per_device_eval_batch_size=24), evaluated=True
    ),
}
CASES = PLAIN | LEVELS | CLIPPING | ACCUMULATED | REFERENCES | MASKS | ENTROPY | SHAPES | CORRECTIONS | MODELS
