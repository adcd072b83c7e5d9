"""The table of cases that must be equal in both libraries: losses x divergences x layouts x references x models.

By default the reference has other weights than the policy, and we compute each prompt once while TRL pads.
"""

from typing import Any, get_args

from sternpost.dpo.contract import LossType

from ..case import ONE_ROW, PADDED, WHOLE, accumulated
from .run import PairCase

MEANS = ("entropy", "mean_token_accuracy", "logits/chosen", "logits/rejected")
"""Means over tokens, which the peer averages over micro-batches."""
SMOOTHED = {"exo_pair": 1e-3, "robust": 0.1, "aot": 0.1, "aot_unpaired": 0.1}
"""`label_smoothing` of the losses in which the peer reads it."""
TIES = ("rewards/accuracies",)
"""Means nothing while the policy is its own reference, and its rewards are rounding errors of what was precomputed."""
EQUAL_LOSSES = [name for name in get_args(LossType) if name != "bco_pair"]
DIVERGENCES = ("forward_kl", "js_divergence", "alpha_divergence")
SLOW: dict[str, Any] = {"learning_rate": 2e-4}
"""For losses and scores that would grow without bounds, and their rounding errors with them."""


def case(options: dict[str, Any] | None = None, rows: str = "pair", **more: Any) -> PairCase:
    return PairCase(rows, options or {}, **more)


def loss(name: str, **options: Any) -> dict[str, Any]:
    needed: dict[str, Any] = {"label_smoothing": SMOOTHED[name]} if name in SMOOTHED else {}
    if name == "discopop":
        needed["beta"] = 0.02  # dividing by `discopop_tau` makes the rounding of log-probabilities 20 times larger
    if name == "sppo_hard":
        needed |= SLOW
    return {"loss_type": [name]} | needed | options


FORMATS = {
    f"format {name}": case(rows=name)
    for name in (
        "pair",
        "pair_implicit",
        "pair_merging",
        "pair_chat",
        "pair_chat_implicit",
        "pair_turns",
        "pair_tools",
        "pair_tools_text",
        "pair_options",
    )
}
LAYOUTS = {
    "both padded": case(PADDED),
    "both padded, conversations": case(PADDED, "pair_chat"),
    "both padded to a multiple": case(PADDED | {"pad_to_multiple_of": 16}),
    "ours end to end to a multiple": case({"pad_to_multiple_of": 16}, "pair_chat"),
    "ours padded to a multiple, peer not": case(PADDED, ours={"pad_to_multiple_of": 32}),
    "one pair a step": case(ONE_ROW),
    "all pairs in a step": case(WHOLE, "pair_chat"),
}
LOSSES = (
    {name: case(loss(name)) for name in EQUAL_LOSSES}
    | {f"{name}, padded": case(loss(name) | PADDED, "pair_chat") for name in EQUAL_LOSSES}
    | {
        "sigmoid, beta=0.5": case(loss("sigmoid", beta=0.5)),
        "hinge, beta=0.5": case(loss("hinge", beta=0.5)),
        "ipo, beta=0.5": case(loss("ipo", beta=0.5)),
        "sppo_hard, beta=0.5": case(loss("sppo_hard", beta=0.5)),
        "robust without smoothing": case({"loss_type": ["robust"]}),
        "aot without smoothing": case({"loss_type": ["aot"]}),
        "aot_unpaired without smoothing": case({"loss_type": ["aot_unpaired"]}),
        "exo_pair, label_smoothing=0.2": case(loss("exo_pair", label_smoothing=0.2)),
        "discopop, discopop_tau=0.5": case(loss("discopop", discopop_tau=0.5, beta=0.1)),
        "bco_pair, first step": case(loss("bco_pair", max_steps=1)),
        "bco_pair, first step, padded": case(loss("bco_pair", max_steps=1) | PADDED, "pair_chat"),
    }
)
LISTS = {
    f"{' + '.join(names)}, loss_weights={weights}": case(
        {"loss_type": names, "loss_weights": weights} | (options or {})
    )
    for names, weights, options in (
        (["sigmoid", "sft"], None, None),
        (["sigmoid", "sft"], [1.0, 0.2], None),
        (["sigmoid", "hinge", "ipo"], [0.5, 0.25, 2.0], None),
        (["sigmoid", "bco_pair", "sft"], [0.8, 0.2, 1.0], {"max_steps": 1}),
        (["apo_zero", "sft"], [1.0, 0.5], None),
        (["exo_pair", "ipo"], [1.0, 0.1], {"label_smoothing": 0.01, "f_divergence_type": "js_divergence"}),
        (["aot", "nca_pair"], [1.0, 0.3], None),
    )
}
F_DIVERGENCES = {  # `sigmoid_norm` divides by lengths: its small steps would be lost in the rounding of the weights
    f"{name}, {divergence}": case(loss(name, f_divergence_type=divergence, **({} if name == "sigmoid_norm" else SLOW)))
    for name in ("sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop")
    for divergence in DIVERGENCES
} | {
    "sft, forward_kl": case(loss("sft", f_divergence_type="forward_kl")),
    "sigmoid, forward_kl, padded": case(loss("sigmoid", f_divergence_type="forward_kl", **SLOW) | PADDED),
    **{
        f"sigmoid, f_alpha_divergence_coef={coefficient}": case(
            loss("sigmoid", f_divergence_type="alpha_divergence", f_alpha_divergence_coef=coefficient, **SLOW)
        )
        for coefficient in (-0.5, 0.2, 1.0, 1.5)
    },
}
WEIGHTS = (
    {
        f"ld_alpha={alpha}, {name}": case(loss(name, ld_alpha=alpha))
        for alpha, name in (
            (0.0, "sigmoid"),
            (0.5, "sigmoid"),
            (1.0, "sigmoid"),
            (0.5, "ipo"),
            (0.5, "aot"),
            (0.3, "sft"),
        )
    }
    | {
        "ld_alpha=0.5, padded": case(PADDED | {"ld_alpha": 0.5}, "pair_chat"),
        "ld_alpha=0.5, precomputed": case({"ld_alpha": 0.5, "precompute_ref_log_probs": True}),
        "ld_alpha=0.5, use_weighting": case({"ld_alpha": 0.5, "use_weighting": True}),
    }
    | {
        f"use_weighting, {name}": case(loss(name, use_weighting=True))
        for name in ("sigmoid", "ipo", "robust", "nca_pair", "sppo_hard", "apo_zero", "sigmoid_norm")
    }
    | {
        "use_weighting, padded": case(PADDED | {"use_weighting": True}, "pair_chat"),
        "use_weighting, two losses": case(
            {"use_weighting": True, "loss_type": ["sigmoid", "ipo"], "loss_weights": [1.0, 0.1]}
        ),
    }
)
TRUNCATION = {
    f"{name}, {layout}": case(options | ({} if layout == "shared" else PADDED), rows)
    for name, options, rows in (
        ("truncated", {"max_length": 12}, "pair"),
        ("truncated, some pairs dropped", {"max_length": 7}, "pair"),
        ("truncated conversations", {"max_length": 32}, "pair_chat"),
        ("end kept", {"max_length": 16, "truncation_mode": "keep_end"}, "pair"),
        ("end of conversations kept", {"max_length": 40, "truncation_mode": "keep_end"}, "pair_chat"),
        ("not truncated", {"max_length": None}, "pair_chat_implicit"),
    )
    for layout in ("shared", "padded")
}
MODELS = (
    {f"model {name}": case(rows="pair_chat", model=name) for name in ("untied", "softcap", "scaled", "positions")}
    | {f"model {name}, padded": case(PADDED, model=name) for name in ("untied", "softcap", "scaled", "positions")}
    | {
        "experts, router_aux_loss_coef=0": case({"router_aux_loss_coef": 0.0}, "pair_chat", model="moe"),
        "experts, router_aux_loss_coef=0, padded": case({"router_aux_loss_coef": 0.0} | PADDED, model="moe"),
        "experts, padded": case(PADDED, model="moe"),
        "experts, router_aux_loss_coef=0.5, padded": case({"router_aux_loss_coef": 0.5} | PADDED, model="moe"),
        "experts, accumulated, padded": case(PADDED | accumulated(4), model="moe", unlike=MEANS),
        "capped logits, sigmoid_norm": case(loss("sigmoid_norm"), model="softcap"),
    }
)
REFERENCES = {
    "policy at the start": case(reference="start"),
    "policy at the start, padded": case(PADDED, "pair_chat", reference="start"),
    "policy at the start, precomputed": case({"precompute_ref_log_probs": True}, reference=None, unlike=TIES),
    "policy at the start, precomputed, conversations": case(
        {"precompute_ref_log_probs": True, "precompute_ref_batch_size": 5}, "pair_chat", reference=None, unlike=TIES
    ),
    "precomputed": case({"precompute_ref_log_probs": True}),
    "precomputed, padded": case({"precompute_ref_log_probs": True} | PADDED),
    "synchronised in every step": case({"sync_ref_model": True, "ref_model_sync_steps": 1}),
    "synchronised in every second step": case(
        {"sync_ref_model": True, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 0.3}, reference="start"
    ),
    "replaced by the policy in every step": case(
        {"sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 1.0}, "pair_chat"
    ),
    "LoRA": case(adapter="new", reference=None),
    "LoRA, padded": case(PADDED, "pair_chat", adapter="new", reference=None),
    "LoRA, another reference": case(adapter="new"),
    "LoRA, precomputed": case({"precompute_ref_log_probs": True}, adapter="new", reference=None, unlike=TIES),
    "LoRA, experts": case({"router_aux_loss_coef": 0.0}, model="moe", adapter="new", reference=None),
    "LoRA, gradient checkpointing": case({"gradient_checkpointing": True}, adapter="new", reference=None),
    "trained adapter": case(adapter="given", reference=None),
    "trained adapter, conversations, padded": case(PADDED, "pair_chat", adapter="given", reference=None),
    "trained adapter, precomputed": case(
        {"precompute_ref_log_probs": True}, adapter="given", reference=None, unlike=TIES
    ),
    "trained adapter, another reference": case(adapter="given"),
}
STEPS = {
    "accumulated": case(accumulated(4), unlike=MEANS),
    "accumulated pairs": case(accumulated(4, rows=2), "pair_chat", unlike=MEANS),
    "accumulated, padded": case(PADDED | accumulated(4), unlike=MEANS),
    "accumulated against one batch": case(peer=accumulated(4), unlike=MEANS),
    "accumulated, use_weighting": case(accumulated(4, rows=2) | {"use_weighting": True}, unlike=MEANS),
    "accumulated, ipo": case(accumulated(2, rows=2) | loss("ipo"), unlike=MEANS),
    "gradient checkpointing": case({"gradient_checkpointing": True}),
    "dropout is off": case({"disable_dropout": True}, model="positions"),
    "evaluated": case({"per_device_eval_batch_size": 12}, evaluated=True),
    "evaluated, precomputed": case(
        {"per_device_eval_batch_size": 12, "precompute_ref_log_probs": True},
        "pair_chat",
        evaluated=True,
    ),
    "evaluated, padded, several batches": case(PADDED, "pair_chat", evaluated=True, unlike=MEANS),
    "evaluated, experts": case(
        PADDED | {"per_device_eval_batch_size": 12, "router_aux_loss_coef": 0.1}, model="moe", evaluated=True
    ),
}
CASES = FORMATS | LAYOUTS | LOSSES | LISTS | F_DIVERGENCES | WEIGHTS | TRUNCATION | MODELS | REFERENCES | STEPS
