"""Options of group-relative policy optimisation. Each is documented below its field, and nowhere else."""

from dataclasses import dataclass
from typing import Any

from transformers import TrainingArguments

from ..choices import check_choices
from ..models.device import resolve_device_defaults
from .choices import ImportanceSamplingLevel, LossType, MultiObjectiveAggregation, ScaleRewards


@dataclass(kw_only=True)
class GRPOConfig(TrainingArguments):
    """Options of [`GRPOTrainer`], added to those of `transformers.TrainingArguments`.

    Raises:
        ValueError: an option has a value that it cannot have, or two options exclude each other.
    """

    _VALID_DICT_FIELDS = [*TrainingArguments._VALID_DICT_FIELDS, "model_init_kwargs", "chat_template_kwargs"]

    # ---- Defaults that differ from transformers

    learning_rate: float = 1e-6
    """Initial learning rate of the optimizer."""
    logging_steps: float = 10
    """Log every this many optimizer steps; a value below 1 is a share of the whole run."""
    remove_unused_columns: bool = False
    """Keep only the column `prompt`. Other columns are given to the reward functions."""
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
    disable_dropout: bool = False
    """Turn dropout off while training."""

    # ---- Generation

    num_generations: int = 8
    """Completions of each prompt, which are compared with one another."""
    num_generations_eval: int | None = None
    """The same in evaluation. By default `num_generations`."""
    max_completion_length: int = 512
    """Longest completion, in tokens."""
    steps_per_generation: int | None = None
    """Micro-batches that are made of the completions of one generation. By default `gradient_accumulation_steps`."""
    shuffle_dataset: bool = True
    """Shuffle the prompts."""
    temperature: float = 1.0
    """Divides the logits, of samples and of scores."""
    top_p: float = 1.0
    """Draw from the smallest set of tokens whose probabilities add up to this."""
    top_k: int = 0
    """Draw from this many of the likeliest tokens; 0 is all."""
    min_p: float | None = None
    """Draw from tokens at least this likely, relative to the likeliest."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that occurred become less likely."""
    chat_template_kwargs: dict[str, Any] | str | None = None
    """Arguments for the chat template of every prompt."""
    generation_slots: int = 64
    """Completions that are drawn side by side on a device."""

    # ---- Rewards

    reward_weights: list[float] | None = None
    """Weight of each reward. By default 1."""
    reward_timeout: float | None = None
    """Seconds that a reward function may take for a batch; later ones count as not given."""
    multi_objective_aggregation: MultiObjectiveAggregation = "sum_then_normalize"
    """Whether rewards are summed and then normalised, or each normalised by itself first (GDPO,
    https://huggingface.co/papers/2601.05242)."""
    scale_rewards: ScaleRewards | bool = "group"
    """What advantages are divided by: the spread of the rewards of the prompt's completions, that of the whole batch,
    or nothing. `True` and `False` mean `group` and `none`."""

    # ---- Loss

    loss_type: LossType = "dapo"
    """What a token contributes, and how contributions are averaged; docs/grpo.md explains each."""
    beta: float = 0.0
    """Weight of the divergence from the reference; 0 needs no reference."""
    use_bias_correction_kl: bool = True
    """Weigh each token's divergence by its own ratio of policy to old policy, which makes the estimate unbiased."""
    num_iterations: int = 1
    """How often each generation is learned from."""
    epsilon: float = 0.2
    """How far below 1 a ratio still counts."""
    epsilon_high: float | None = None
    """How far above 1 a ratio still counts; for `cispo` the largest ratio. By default `epsilon`."""
    delta: float | None = None
    """Bounds the ratio of the unclipped term too (INTELLECT-2, https://huggingface.co/papers/2505.07291)."""
    importance_sampling_level: ImportanceSamplingLevel = "token"
    """Whether a ratio is that of a token, or the mean of its sequence (GSPO,
    https://huggingface.co/papers/2507.18071)."""
    sapo_temperature_pos: float = 1.0
    """Temperature of `sapo` for positive advantages."""
    sapo_temperature_neg: float = 1.05
    """Temperature of `sapo` for negative advantages."""
    vespo_k_pos: float = 2.0
    """Exponent of `vespo` for advantages that are not negative."""
    vespo_lambda_pos: float = 3.0
    """Steepness of `vespo` for advantages that are not negative."""
    vespo_k_neg: float = 3.0
    """Exponent of `vespo` for negative advantages."""
    vespo_lambda_neg: float = 2.0
    """Steepness of `vespo` for negative advantages."""
    entropy_coef: float = 0.0
    """Weight of a bonus for the entropy of the next-token distribution."""
    mask_truncated_completions: bool = False
    """Learn nothing from completions that did not end by themselves."""

    def __post_init__(self) -> None:
        if isinstance(self.scale_rewards, bool):
            self.scale_rewards = "group" if self.scale_rewards else "none"
        if self.epsilon_high is None:
            self.epsilon_high = self.epsilon
        if self.num_generations_eval is None:
            self.num_generations_eval = self.num_generations
        resolve_device_defaults(self)
        super().__post_init__()
        if self.steps_per_generation is None:
            self.steps_per_generation = self.gradient_accumulation_steps
        check_choices(self)
        if self.scale_rewards not in ("group", "batch", "none"):
            raise ValueError(f"`scale_rewards={self.scale_rewards!r}` is not one of 'group', 'batch', 'none'.")
        check_numbers(self)
        check_batches(self)


def check_numbers(args: GRPOConfig) -> None:
    """Raise for numbers that are out of range."""
    for name, least in (("num_generations", 2), ("num_generations_eval", 1), ("max_completion_length", 1),
                        ("steps_per_generation", 1), ("num_iterations", 1), ("generation_slots", 1)):  # fmt: skip
        value = getattr(args, name)
        if value < least:
            raise ValueError(f"`{name}={value}` must be at least {least}.")
    if not args.temperature > 0:
        raise ValueError(f"`temperature={args.temperature}` must be positive: completions have to differ.")
    if args.beta < 0:
        raise ValueError(f"`beta={args.beta}` must not be negative; 0 needs no reference.")
    if not 0 <= args.epsilon < 1:
        raise ValueError(f"`epsilon={args.epsilon}` must be from 0 to below 1.")
    most = 1 + (args.epsilon_high or 0)
    if args.delta is not None and args.delta <= most:
        raise ValueError(f"`delta={args.delta}` must be above `1 + epsilon_high={most}`, else it would replace it.")


def check_batches(args: GRPOConfig) -> None:
    """Raise if generations and optimizer steps do not fit into each other."""
    steps, accumulated = args.steps_per_generation, args.gradient_accumulation_steps
    if steps % accumulated and accumulated % steps:
        raise ValueError(
            f"`steps_per_generation={steps}` and `gradient_accumulation_steps={accumulated}` do not divide each other, "
            "so that an optimizer step would hold pieces of generations. Make one a multiple of the other."
        )
    completions = args.per_device_train_batch_size * args.world_size * max(steps, accumulated)
    if completions % args.num_generations:
        raise ValueError(
            f"A generation makes {completions} completions "
            f"(`per_device_train_batch_size={args.per_device_train_batch_size}`, {args.world_size} processes, "
            f"{max(steps, accumulated)} steps), which is no multiple of `num_generations={args.num_generations}`."
        )
