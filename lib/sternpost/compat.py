"""What differs between the supported versions of our dependencies, and the private hooks of theirs that we rely on.

`PRIVATE_HOOKS` is pinned by a test on the lowest and on the newest supported `transformers`.
"""

import dataclasses
from typing import Any

PRIVATE_HOOKS = {
    "transformers.Trainer": (
        "_get_num_items_in_batch",
        "_get_output_dir",
        "_prepare_inputs",
        "_save_checkpoint",
        "_set_signature_columns_if_needed",
    ),
    "transformers.PreTrainedModel": ("_supports_attention_backend",),
}
"""Private names that our trainers override, call or read, by class."""


def resolve_activation_checkpointing(args: Any, default: bool) -> None:
    """Let `gradient_checkpointing=None` mean `default`, under the name that the installed transformers reads.

    transformers 5.2x renames `gradient_checkpointing` to `activation_checkpointing`; the public name here stays.
    """
    names = {field.name for field in dataclasses.fields(args)}
    renamed = "activation_checkpointing" in names
    chosen = args.gradient_checkpointing
    if chosen is None and renamed:
        chosen = args.activation_checkpointing
    if chosen is None:
        chosen = default
    if renamed:
        args.activation_checkpointing = chosen
        if args.activation_checkpointing_kwargs is None:
            args.activation_checkpointing_kwargs = args.gradient_checkpointing_kwargs
        args.gradient_checkpointing_kwargs = args.activation_checkpointing_kwargs
    args.gradient_checkpointing = chosen
