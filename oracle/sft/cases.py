"""The table of cases that must be equal in both libraries: formats x masks x layouts x losses x models x adapters."""

from typing import Any

from ..case import ONE_ROW, PADDED, WHOLE, Case, accumulated

END_TO_END = {"padding_free": True, "max_length": None}  # TRL lays rows end to end only if it need not truncate
MEANS = ("entropy", "mean_token_accuracy", "aux_loss")
"""Metrics that the peer averages over micro-batches."""


def packed(strategy: str, length: int = 64) -> dict[str, Any]:
    """One batch, so that it does not matter which rows are packed together, nor in which order."""
    return WHOLE | {"packing": True, "packing_strategy": strategy, "max_length": length}


FORMATS = {
    f"format {name}": Case(name)
    for name in (
        "text",
        "prompt_completion",
        "prompt_completion_merging",
        "prompt_completion_chat",
        "messages",
        "tools",
        "conversations_chatml",
        "tokenized",
        "tokenized_labels",
        "tokenized_assistant",
    )
}
MASKS = {
    f"{rows}, completion_only_loss={asked}": Case(rows, {"completion_only_loss": asked})
    for rows in ("prompt_completion", "prompt_completion_chat")
    for asked in (True, False)
} | {
    "tokenized_completion, completion_only_loss=True": Case("tokenized_completion", {"completion_only_loss": True}),
    "tokenized_completion, completion_only_loss=False": Case("tokenized_completion", {"completion_only_loss": False}),
    "assistant_only_loss": Case("messages", {"assistant_only_loss": True}),
    "assistant_only_loss, tools": Case("tools", {"assistant_only_loss": True}),
    "assistant_only_loss, end to end": Case("messages", END_TO_END | {"assistant_only_loss": True}),
    "assistant_only_loss and completion_only_loss": Case("prompt_completion_chat", {"assistant_only_loss": True}),
    "assistant_only_loss without completion_only_loss": Case(
        "prompt_completion_chat", {"assistant_only_loss": True, "completion_only_loss": False}
    ),
    "eos_token": Case("text", {"eos_token": "<|pad|>"}),
}
LAYOUTS = {
    "both padded": Case("messages", PADDED),
    "both end to end": Case("messages", END_TO_END),
    "ours end to end, peer padded": Case("messages", peer=PADDED, ours={"padding_free": True}),
    "padded to a multiple": Case("messages", PADDED | {"pad_to_multiple_of": 16}),
    "end to end to a multiple": Case("messages", END_TO_END | {"pad_to_multiple_of": 16}),
    "shuffled": Case("text", {"shuffle_dataset": True}),
    **{f"packed {strategy}": Case("messages", packed(strategy)) for strategy in ("bfd", "bfd_split", "wrapped")},
    **{
        f"packed {strategy}, prompt_completion": Case("prompt_completion", packed(strategy, 24))
        for strategy in ("bfd", "bfd_split", "wrapped")
    },
    **{
        f"packed {strategy}, assistant_only_loss": Case("messages", packed(strategy) | {"assistant_only_loss": True})
        for strategy in ("bfd", "bfd_split", "wrapped")
    },
    "packed bfd, one pack a step": Case("text", packed("bfd", 48) | ONE_ROW),
    "packed bfd, several packs a batch": Case("text", packed("bfd", 48) | {"per_device_train_batch_size": 2}),
    "ours packed, peer padded": Case("messages", WHOLE, ours=packed("bfd", 1024), peer=PADDED),
}
LOSSES = {
    "dft": Case("messages", {"loss_type": "dft"}),
    "dft, completions": Case("prompt_completion", {"loss_type": "dft"}),
    "dft, packed": Case("messages", packed("bfd") | {"loss_type": "dft"}),
    "dft, accumulated": Case("messages", accumulated(4) | {"loss_type": "dft"}, unlike=MEANS),
    "dft, LoRA": Case("messages", {"loss_type": "dft"}, adapter="new"),
}
MODELS = {
    "untied head": Case("messages", model="untied"),
    "untied head, packed": Case("messages", packed("bfd"), model="untied"),
    "capped logits": Case("messages", model="softcap"),
    "capped logits and sliding window, packed": Case("messages", packed("bfd"), model="softcap"),
    "scaled logits": Case("messages", model="scaled"),
    "scaled logits, packed": Case("messages", packed("bfd"), model="scaled"),
    "learned positions, end to end": Case("messages", END_TO_END, model="positions"),
    "LoRA": Case("messages", adapter="new"),
    "LoRA, completions": Case("prompt_completion_chat", adapter="new"),
    "LoRA, packed": Case("messages", packed("bfd"), adapter="new"),
    "LoRA, accumulated": Case("messages", accumulated(4), adapter="new", unlike=MEANS),
    "LoRA, gradient checkpointing": Case("messages", {"gradient_checkpointing": True}, adapter="new"),
    "experts": Case("messages", model="moe"),
    "experts, padded": Case("messages", PADDED, model="moe"),
    "experts, completions": Case("prompt_completion", model="moe"),
    "experts, packed": Case("messages", packed("bfd"), model="moe"),
    "experts, wrapped": Case("messages", packed("wrapped"), model="moe"),
    "experts, router_aux_loss_coef=0": Case("messages", {"router_aux_loss_coef": 0.0}, model="moe"),
    "experts, router_aux_loss_coef=0.5": Case("messages", {"router_aux_loss_coef": 0.5}, model="moe"),
    "experts, accumulated": Case("messages", accumulated(4), model="moe", unlike=MEANS),
    "experts, evaluated": Case(
        "messages", {"router_aux_loss_coef": 0.5, "per_device_eval_batch_size": 12}, model="moe", evaluated=True
    ),
    "experts, LoRA": Case("messages", model="moe", adapter="new"),
}
STEPS = {
    "evaluated": Case("messages", {"per_device_eval_batch_size": 12}, evaluated=True),
    "one row a step": Case("messages", accumulated(1)),
    "accumulated": Case("messages", accumulated(4), unlike=MEANS),
    "accumulated pairs": Case("messages", accumulated(4, rows=2), unlike=MEANS),
    "accumulated packs": Case("text", packed("bfd", 48) | accumulated(4), unlike=MEANS),
    "accumulated against one batch": Case("messages", peer=accumulated(4), unlike=MEANS),
    "gradient checkpointing": Case("messages", {"gradient_checkpointing": True}),
    "truncated": Case("messages", {"max_length": 20}),
    "truncated, end kept": Case("messages", {"max_length": 20, "truncation_mode": "keep_end"}),
    "truncated completions, some rows dropped": Case("prompt_completion", {"max_length": 8}),
    "truncated completions, end kept": Case("prompt_completion", {"max_length": 8, "truncation_mode": "keep_end"}),
}
CASES = FORMATS | MASKS | LAYOUTS | LOSSES | MODELS | STEPS
