"""Options of reward modelling. Each is documented below its field, and nowhere else."""

import math
from dataclasses import dataclass
from typing import Any

from transformers import TrainingArguments

from ..models.device import resolve_device_defaults


@dataclass(kw_only=True)
class RewardConfig(TrainingArguments):
    """Options of [`RewardTrainer`], added to those of `transformers.TrainingArguments`.

    Raises:
        ValueError: an option has a value that it cannot have, or two options exclude each other.
    """

    _VALID_DICT_FIELDS = [*TrainingArguments._VALID_DICT_FIELDS, "model_init_kwargs"]

    # ---- Defaults that differ from transformers

    learning_rate: float = 1e-4
    """Initial learning rate of the optimizer."""
    logging_steps: float = 10
    """Log every this many optimizer steps; a value below 1 is a share of the whole run."""
    bf16: bool | None = None
    """Compute in bfloat16 (the weights stay as loaded). By default where the hardware is fast at it: on accelerators
    that support it and on CPUs with AMX, or AVX512-BF16 of AMD, unless `fp16` is set."""
    gradient_checkpointing: bool | None = None
    """Recompute activations in the backward pass to save memory. By default on accelerators, not on a CPU."""

    # ---- Model

    model_init_kwargs: dict[str, Any] | str | None = None
    """Arguments for `from_pretrained` when `model` is a path or an id."""
    trust_remote_code: bool = False
    """Run model and tokenizer code that comes with the checkpoint. It is executed on this machine."""
    chat_template_path: str | None = None
    """Chat template to use: a Jinja file, or the directory or id of a tokenizer that has one."""
    disable_dropout: bool = True
    """Turn dropout off, so that equal answers get equal rewards."""

    # ---- Data

    dataset_num_proc: int | None = None
    """Processes that prepare the data. One process already tokenises on all cores."""
    eos_token: str | None = None
    """Token that ends a text, if not the tokenizer's own. The reward is read where a sequence ends."""
    max_length: int | None = 1024
    """Longest prompt with one answer, in tokens. Pairs with a longer one are dropped: an answer that is cut has another
    reward. `None` drops nothing."""
    padding_free: bool | None = None
    """Lay the pairs of a batch end to end, and compute what both sequences of a pair begin with once: same result, less
    work. By default wherever the model's attention keeps answers apart."""
    pad_to_multiple_of: int | str | None = "auto"
    """Pad batches to a multiple of this many tokens. `auto` leaves them at the longest row."""

    # ---- Loss

    center_rewards_coefficient: float | None = None
    """Weight of a second loss that holds the rewards of a pair around zero, such as 0.01
    (https://huggingface.co/papers/2312.09244)."""

    # ---- Memory

    activation_offloading: bool = False
    """Keep activations in host memory between the forward and the backward pass."""

    def __post_init__(self) -> None:
        resolve_device_defaults(self)
        super().__post_init__()
        check_sizes(self)
        check_inherited(self)


def check_sizes(args: RewardConfig) -> None:
    """Raise for numbers that are out of range."""
    if args.max_length is not None and args.max_length < 1:
        raise ValueError(
            f"`max_length={args.max_length}` leaves no room for a token. Use a larger value, or None to drop nothing."
        )
    if args.dataset_num_proc is not None and args.dataset_num_proc < 1:
        raise ValueError(f"`dataset_num_proc={args.dataset_num_proc}` must be at least 1.")
    multiple = args.pad_to_multiple_of
    if not (multiple in ("auto", None) or (isinstance(multiple, int) and multiple > 0)):
        raise ValueError(f'`pad_to_multiple_of={multiple!r}` must be "auto", None or a positive integer.')
    weight = args.center_rewards_coefficient
    if weight is not None and not (math.isfinite(weight) and weight >= 0):
        raise ValueError(
            f"`center_rewards_coefficient={weight}` must not be negative: it would drive rewards away from zero. Leave "
            "it out to leave them where they are."
        )


def check_inherited(args: RewardConfig) -> None:
    """Raise for options of transformers that would do nothing, or something else than they say."""
    if args.use_liger_kernel:
        raise ValueError(
            "`use_liger_kernel=True` would replace a language model's loss, which a reward model does not have. Leave "
            "it out."
        )
    if args.label_smoothing_factor:
        raise ValueError(
            f"`label_smoothing_factor={args.label_smoothing_factor}` belongs to the losses of transformers. Leave it "
            "out, or pass a `loss_fn` to the trainer."
        )
