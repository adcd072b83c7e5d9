"""Options of direct preference optimisation. Each is documented below its field, and nowhere else."""

import math
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments

from ..choices import check_choices
from ..models.device import resolve_device_defaults
from .contract import FDivergenceType, LossType, TruncationMode

SORTING = {"aot", "aot_unpaired"}
"""Losses that compare the pairs of a batch in order of their log-ratios."""
SCORING = {"sigmoid", "sigmoid_norm", "hinge", "ipo", "exo_pair", "robust", "discopop", "sft"}
"""Losses that read log-ratios through an f-divergence, or not at all."""
SMOOTHING = {"sigmoid", "sigmoid_norm", "hinge", "exo_pair", "robust", "aot", "aot_unpaired"}
"""Losses that read `label_smoothing`."""


@dataclass(kw_only=True)
class DPOConfig(TrainingArguments):
    """Options of [`DPOTrainer`], added to those of `transformers.TrainingArguments`.

    Raises:
        ValueError: an option has a value that it cannot have, or two options exclude each other.
    """

    _VALID_DICT_FIELDS = [*TrainingArguments._VALID_DICT_FIELDS, "model_init_kwargs"]

    # ---- Defaults that differ from transformers

    learning_rate: float = 1e-6
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
    """Arguments for `from_pretrained` when `model` is a path or an id; also for the reference."""
    trust_remote_code: bool = False
    """Run model and tokenizer code that comes with the checkpoint. It is executed on this machine."""
    router_aux_loss_coef: float | None = None
    """Weight of the load-balancing loss of a mixture-of-experts model. By default the model's own; 0 turns it off."""
    disable_dropout: bool = True
    """Turn dropout off in policy and reference, so that their difference holds no noise."""

    # ---- Data

    dataset_num_proc: int | None = None
    """Processes that prepare the data. One process already tokenises on all cores."""
    max_length: int | None = 1024
    """Longest prompt with one answer, in tokens; what is longer is truncated. `None` truncates nothing."""
    truncation_mode: TruncationMode = "keep_start"
    """Which end of prompt and answer is kept when they are too long together. With `keep_start`, pairs whose prompt
    alone is too long are dropped; with `keep_end`, each answer keeps the end of the prompt that fits before it."""
    padding_free: bool | None = None
    """Lay the pairs of a batch end to end, and compute the prompt of a pair once for both answers: same result, less
    work. By default wherever the model's attention keeps answers apart."""
    pad_to_multiple_of: int | str | None = "auto"
    """Pad batches to a multiple of this many tokens. `auto` leaves them at the longest row."""

    # ---- Reference

    precompute_ref_log_probs: bool = False
    """Compute the reference's log-probabilities once, before training, and keep no reference in memory. They are kept
    in `output_dir` for exactly these rows, weights and options, and completed when a run was interrupted."""
    precompute_ref_batch_size: int | None = None
    """Pairs per device at a time while they are precomputed. By default `per_device_train_batch_size`, for evaluation
    rows `per_device_eval_batch_size`."""
    sync_ref_model: bool = False
    """Let the reference follow the policy (TR-DPO, https://huggingface.co/papers/2404.09656)."""
    ref_model_mixup_alpha: float = 0.6
    """Share of the policy in the new reference at each synchronisation; 1 copies the policy (ibid., eq. 4 and 5)."""
    ref_model_sync_steps: int = 512
    """Optimizer steps between two synchronisations."""

    # ---- Loss

    loss_type: list[LossType] = field(default_factory=lambda: ["sigmoid"])
    """One loss or several, whose weighted sum is minimised; docs/dpo.md explains each."""
    loss_weights: list[float] | None = None
    """Weight of each loss of `loss_type`. By default 1."""
    beta: float = 0.1
    """Strength of the pull towards the reference: how much a log-ratio counts as reward."""
    label_smoothing: float = 0.0
    """Share of pairs that are believed to be labelled the wrong way round."""
    f_divergence_type: FDivergenceType = "reverse_kl"
    """Divergence from the reference that is held small (https://huggingface.co/papers/2309.16240)."""
    f_alpha_divergence_coef: float = 0.5
    """The alpha of `alpha_divergence`."""
    ld_alpha: float | None = None
    """Weight of the tokens of the longer answer beyond the length of the shorter one; 1 or `None` changes nothing
    (LD-DPO, https://huggingface.co/papers/2409.06411)."""
    use_weighting: bool = False
    """Weigh each pair by how likely the policy is to give these answers (WPO, https://huggingface.co/papers/2406.11827)."""
    discopop_tau: float = 0.05
    """Temperature of the switch between the two parts of `discopop`."""

    # ---- Memory

    activation_offloading: bool = False
    """Keep activations in host memory between the forward and the backward pass."""

    def __post_init__(self) -> None:
        if isinstance(self.loss_type, str):
            self.loss_type = [self.loss_type]
        resolve_device_defaults(self)
        super().__post_init__()
        check_choices(self)
        check_sizes(self)
        check_losses(self)
        check_reference(self)
        check_inherited(self)


def check_sizes(args: DPOConfig) -> None:
    """Raise for numbers that are out of range."""
    if args.max_length is not None and args.max_length < 2:
        raise ValueError(
            f"`max_length={args.max_length}` leaves no room for an answer: a sequence needs at least 2 tokens. Use a "
            "larger value, or None to truncate nothing."
        )
    for name in ("dataset_num_proc", "precompute_ref_batch_size", "ref_model_sync_steps"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"`{name}={value}` must be at least 1.")
    if args.router_aux_loss_coef is not None and args.router_aux_loss_coef < 0:
        raise ValueError(f"`router_aux_loss_coef={args.router_aux_loss_coef}` must not be negative. 0 turns it off.")
    multiple = args.pad_to_multiple_of
    if not (multiple in ("auto", None) or (isinstance(multiple, int) and multiple > 0)):
        raise ValueError(f'`pad_to_multiple_of={multiple!r}` must be "auto", None or a positive integer.')
    if not (math.isfinite(args.beta) and args.beta > 0):
        raise ValueError(f"`beta={args.beta}` must be positive: it scales the log-ratios that are learned from.")
    if not args.discopop_tau > 0:
        raise ValueError(f"`discopop_tau={args.discopop_tau}` is a temperature and must be positive.")
    if args.ld_alpha is not None and not 0 <= args.ld_alpha <= 1:
        raise ValueError(f"`ld_alpha={args.ld_alpha}` is a weight from 0 to 1. Leave it out to count all tokens alike.")
    if not 0 < args.ref_model_mixup_alpha <= 1:
        raise ValueError(f"`ref_model_mixup_alpha={args.ref_model_mixup_alpha}` is a share: above 0, at most 1.")


def check_losses(args: DPOConfig) -> None:
    """Raise for losses that cannot be combined with one another or with an option."""
    losses = set(args.loss_type)
    if not args.loss_type:
        raise ValueError('`loss_type` is empty. Name at least one loss, for example "sigmoid".')
    if len(losses) < len(args.loss_type):
        raise ValueError(f"`loss_type={args.loss_type}` names a loss twice. Name it once and raise its weight.")
    if args.loss_weights is not None and len(args.loss_weights) != len(args.loss_type):
        raise ValueError(
            f"`loss_weights={args.loss_weights}` has {len(args.loss_weights)} values for the {len(args.loss_type)} of "
            f"`loss_type={args.loss_type}`. Give one weight per loss."
        )
    if not 0 <= args.label_smoothing <= 0.5:
        raise ValueError(
            f"`label_smoothing={args.label_smoothing}` is the share of pairs labelled the wrong way round: 0 to 0.5."
        )
    if args.label_smoothing and not losses & SMOOTHING:
        raise ValueError(
            f"`label_smoothing={args.label_smoothing}` is read by {', '.join(sorted(SMOOTHING))}, but "
            f"`loss_type={args.loss_type}`. Leave it out, or add one of them."
        )
    if "robust" in losses and args.label_smoothing == 0.5:
        raise ValueError("`label_smoothing=0.5` makes `robust` divide by zero: it must be below 0.5.")
    if "exo_pair" in losses and args.label_smoothing == 0:
        raise ValueError(
            "`exo_pair` takes the logarithm of `label_smoothing`, which is 0. Set it, for example to 1e-3 as in the "
            "paper (https://huggingface.co/papers/2402.00856)."
        )
    blind = losses - SCORING
    if args.f_divergence_type != "reverse_kl" and blind:
        raise ValueError(
            f'`f_divergence_type="{args.f_divergence_type}"` has no meaning for {", ".join(sorted(blind))}. Use '
            f"`reverse_kl`, or only losses of {', '.join(sorted(SCORING))}."
        )
    if args.use_weighting and losses & SORTING:
        raise ValueError(
            f"`use_weighting=True` weighs pairs, which {', '.join(sorted(losses & SORTING))} takes apart. Drop one."
        )


def check_reference(args: DPOConfig) -> None:
    """Raise if the reference is asked to be two things at once."""
    if args.sync_ref_model and args.precompute_ref_log_probs:
        raise ValueError(
            "`sync_ref_model=True` changes the reference while training, but `precompute_ref_log_probs=True` computes "
            "it once. Drop one of them."
        )


def check_inherited(args: DPOConfig) -> None:
    """Raise for options of transformers that would do nothing, or something else than they say."""
    if args.use_liger_kernel:
        raise ValueError(
            "`use_liger_kernel=True` would replace the model's loss, which Sternpost computes itself without holding "
            "the logits. Leave it out."
        )
    if args.label_smoothing_factor:
        raise ValueError(
            f"`label_smoothing_factor={args.label_smoothing_factor}` belongs to the losses of transformers. Use "
            "`label_smoothing`."
        )
