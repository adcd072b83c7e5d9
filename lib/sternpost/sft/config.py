"""Options of supervised fine-tuning. Each is documented below its field, and nowhere else."""

from dataclasses import dataclass
from typing import Any

from transformers import TrainingArguments

from ..choices import check_choices
from ..models.device import resolve_device_defaults
from .contract import LossType, PackingStrategy, TruncationMode


@dataclass(kw_only=True)
class SFTConfig(TrainingArguments):
    """Options of [`SFTTrainer`], added to those of `transformers.TrainingArguments`.

    Raises:
        ValueError: an option has a value that it cannot have, or two options exclude each other.
    """

    _VALID_DICT_FIELDS = [*TrainingArguments._VALID_DICT_FIELDS, "model_init_kwargs", "dataset_kwargs"]

    # ---- Defaults that differ from transformers

    learning_rate: float = 2e-5
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
    router_aux_loss_coef: float | None = None
    """Weight of the load-balancing loss of a mixture-of-experts model. By default the model's own; 0 turns it off."""
    chat_template_path: str | None = None
    """A Jinja file, or a tokenizer directory or id, whose chat template replaces the tokenizer's own."""

    # ---- Data

    dataset_text_field: str = "text"
    """Column that holds the text of language-modelling rows."""
    dataset_kwargs: dict[str, Any] | str | None = None
    """`{"skip_prepare_dataset": true}` leaves the rows as they are; they must already hold `input_ids`."""
    dataset_num_proc: int | None = None
    """Processes that prepare the data. One process already tokenises on all cores."""
    eos_token: str | None = None
    """Token that ends a text or a completion. By default the tokenizer's own."""
    max_length: int | None = 1024
    """Longest sequence, in tokens; longer rows are truncated while the data is prepared. `None` truncates nothing."""
    truncation_mode: TruncationMode = "keep_start"
    """Which end of a row that is too long is kept."""
    shuffle_dataset: bool = False
    """Shuffle the training rows once before they are packed."""
    packing: bool = False
    """Fill sequences of `max_length` tokens with several rows, which never see one another (but see `wrapped`)."""
    packing_strategy: PackingStrategy = "bfd"
    """How rows are packed: `bfd` best fit, longest first, rows beyond `max_length` cut; `bfd_split` the same, but what
    was cut off becomes a row of its own; `wrapped` one stream cut every `max_length` tokens, in which rows do see what
    stands before them."""
    padding_free: bool | None = None
    """Lay the rows of a batch end to end instead of padding them: same result, no work on padding. By default wherever
    the model's attention keeps rows apart; always on with the packing strategies `bfd` and `bfd_split`."""
    pad_to_multiple_of: int | str | None = "auto"
    """Pad batches to a multiple of this many tokens. `auto` leaves them at the longest row."""
    eval_packing: bool | None = None
    """Pack the evaluation rows. By default as `packing`."""

    # ---- Loss

    completion_only_loss: bool | None = None
    """Learn the completion and not the prompt. By default for rows that have a `completion`."""
    assistant_only_loss: bool = False
    """Learn only what the assistant says, as marked by `{% generation %}` in the chat template."""
    loss_type: LossType = "nll"
    """`nll`, the negative log-likelihood, or `dft`, the same weighted by the model's own confidence
    (https://huggingface.co/papers/2508.05629, eq. 9)."""

    # ---- Memory

    activation_offloading: bool = False
    """Keep activations in host memory between the forward and the backward pass."""

    def __post_init__(self) -> None:
        resolve_device_defaults(self)
        super().__post_init__()
        check_choices(self)
        check_lengths(self)
        check_combinations(self)


def check_lengths(args: SFTConfig) -> None:
    """Raise for sizes that are out of range."""
    if args.max_length is not None and args.max_length < 2:
        raise ValueError(
            f"`max_length={args.max_length}` leaves nothing to predict: a sequence needs at least 2 tokens. Use a "
            "larger value, or None to truncate nothing."
        )
    if args.dataset_num_proc is not None and args.dataset_num_proc < 1:
        raise ValueError(
            f"`dataset_num_proc={args.dataset_num_proc}` must be at least 1, or None for the main process only."
        )
    if args.router_aux_loss_coef is not None and args.router_aux_loss_coef < 0:
        raise ValueError(f"`router_aux_loss_coef={args.router_aux_loss_coef}` must not be negative. 0 turns it off.")
    multiple = args.pad_to_multiple_of
    if not (multiple in ("auto", None) or (isinstance(multiple, int) and multiple > 0)):
        raise ValueError(f'`pad_to_multiple_of={multiple!r}` must be "auto", None or a positive integer.')


def check_combinations(args: SFTConfig) -> None:
    """Raise for options that exclude each other."""
    packs = args.packing or bool(args.eval_packing)
    if packs and args.max_length is None:
        raise ValueError("`packing` fills sequences of `max_length` tokens, but `max_length` is None. Set a length.")
    if args.packing and args.packing_strategy != "wrapped" and args.padding_free is False:
        raise ValueError(
            f'`packing_strategy="{args.packing_strategy}"` lays rows end to end, so `padding_free=False` cannot hold. '
            'Leave `padding_free` out, or use `packing_strategy="wrapped"`.'
        )
    if args.use_liger_kernel:
        raise ValueError(
            "`use_liger_kernel=True` would replace the model's loss, which Sternpost computes itself without holding "
            "the logits. Leave it out."
        )
    if args.label_smoothing_factor:
        raise ValueError(
            f"`label_smoothing_factor={args.label_smoothing_factor}` has no effect on the losses of `loss_type`. Leave "
            "it at 0, or pass `compute_loss_func` to the trainer."
        )
    parallelism = args.parallelism_config
    if parallelism is not None and max(parallelism.cp_size, parallelism.sp_size) > 1:
        raise ValueError(
            "`parallelism_config` with context or sequence parallelism is not supported: the loss needs whole rows. "
            "Use data or tensor parallelism."
        )


__all__ = ["SFTConfig"]
