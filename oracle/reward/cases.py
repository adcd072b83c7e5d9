"""The table of cases that must be equal in both libraries: formats x margins x layouts x models x adapters.

By default we compute what both sequences of a pair begin with once, while TRL pads.
"""

from typing import Any

from ..case import ONE_ROW, PADDED, WHOLE, Case, accumulated

EXTREMES = ("min_reward", "max_reward")
"""Metrics that the peer averages over micro-batches."""


def case(options: dict[str, Any] | None = None, rows: str = "pair", **more: Any) -> Case:
    return Case(rows, options or {}, **more)


def padded(options: dict[str, Any] | None = None, rows: str = "pair", **more: Any) -> Case:
    """Both libraries pad, which TRL needs no option for."""
    return case(options, rows, ours=PADDED, **more)


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
        "pair_margin",
        "pair_tokenized",
    )
}
LAYOUTS = {
    "both padded": padded(),
    "both padded, conversations": padded(rows="pair_chat"),
    "both padded, margins": padded(rows="pair_margin"),
    "both padded to a multiple": padded({"pad_to_multiple_of": 16}),
    "ours end to end to a multiple": case({"pad_to_multiple_of": 16}, "pair_chat"),
    "one pair a step": case(ONE_ROW),
    "all pairs in a step": case(WHOLE, "pair_chat"),
}
LOSSES = {
    "center_rewards_coefficient=0.01": case({"center_rewards_coefficient": 0.01}),
    "center_rewards_coefficient=1, padded": padded({"center_rewards_coefficient": 1.0}, "pair_chat"),
    "center_rewards_coefficient=0.1, margins": case({"center_rewards_coefficient": 0.1}, "pair_margin"),
}
LENGTHS = {
    "long pairs dropped": case({"max_length": 12}),
    "long conversations dropped": case({"max_length": 48}, "pair_chat"),
    "not truncated": case({"max_length": None}),
    "eos_token": case({"eos_token": "<|im_start|>"}),
    "text ends with the padding token": case({"eos_token": "<|pad|>"}),
    "text ends with the padding token, padded": padded({"eos_token": "<|pad|>"}),
}
MODELS = {f"model {name}": case(rows="pair_chat", model=name) for name in ("untied", "softcap", "positions", "moe")} | {
    f"model {name}, padded": padded(model=name) for name in ("untied", "softcap", "positions", "moe")
}
ADAPTERS = {
    "LoRA": case(adapter="new"),
    "LoRA, padded": padded(rows="pair_chat", adapter="new"),
    "LoRA, gradient checkpointing": case({"gradient_checkpointing": True}, adapter="new"),
    "trained adapter": case(adapter="given"),
}
STEPS = {
    "accumulated": case(accumulated(4), unlike=EXTREMES),
    "accumulated pairs, margins": case(accumulated(4, rows=2), "pair_margin", unlike=EXTREMES),
    "accumulated, padded": padded(accumulated(4), "pair_chat", unlike=EXTREMES),
    "accumulated against one batch": case(peer=accumulated(4), unlike=EXTREMES),
    "gradient checkpointing": case({"gradient_checkpointing": True}),
    "dropout is off": case(model="positions"),
    "evaluated": case({"per_device_eval_batch_size": 12}, evaluated=True),
    "evaluated, several batches": case(
        {"center_rewards_coefficient": 0.1}, "pair_margin", evaluated=True, unlike=EXTREMES
    ),
}
CASES = FORMATS | LAYOUTS | LOSSES | LENGTHS | MODELS | ADAPTERS | STEPS
