"""Options of REINFORCE leave-one-out. Each is documented below its field, and nowhere else."""

from dataclasses import dataclass
from typing import Any

from transformers import TrainingArguments

from ..choices import check_choices
from ..generation.options import VLLMMode, VLLMModelImpl, check_batches, check_generation
from ..models.device import resolve_device_defaults


@dataclass(kw_only=True)
class RLOOConfig(TrainingArguments):
    """Options of [`RLOOTrainer`], added to those of `transformers.TrainingArguments`.

    Raises:
        ValueError: an option has a value that it cannot have, or two options exclude each other.
    """

    _VALID_DICT_FIELDS = [*TrainingArguments._VALID_DICT_FIELDS, "model_init_kwargs", "chat_template_kwargs",
                          "generation_kwargs"]  # fmt: skip

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
    pad_to_multiple_of: int | str | None = "auto"
    """Pad batches to a multiple of this many tokens. `auto` leaves them at the longest row."""

    # ---- Generation

    num_generations: int = 2
    """Completions of each prompt, which are compared with one another."""
    num_generations_eval: int | None = None
    """The same in evaluation. By default `num_generations`."""
    max_completion_length: int = 512
    """Longest completion, in tokens."""
    generation_batch_size: int | None = None
    """Completions that are generated at a time, over all processes. Another way to say `steps_per_generation`."""
    steps_per_generation: int | None = None
    """Micro-batches that are made of the completions of one generation. By default `gradient_accumulation_steps`; if it
    is smaller, a generation still fills an optimizer step."""
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
    generation_kwargs: dict[str, Any] | str | None = None
    """Further sampling parameters, by the names of vLLM. In this process: `stop_token_ids`."""
    chat_template_kwargs: dict[str, Any] | str | None = None
    """Arguments for the chat template of every prompt."""
    generation_slots: int = 64
    """Completions that are drawn side by side on a device, when they are generated in this process."""
    ds3_gather_for_generation: bool = True
    """Gather weights that ZeRO-3 or FSDP has spread, while completions are generated in this process."""

    # ---- vLLM

    use_vllm: bool = False
    """Generate with vLLM instead of in this process."""
    vllm_mode: VLLMMode = "colocate"
    """Whether vLLM is a `server` of its own (`vllm serve`), or shares this process and its device."""
    vllm_model_impl: VLLMModelImpl = "vllm"
    """Whose code the model runs in vLLM. For `colocate`."""
    vllm_enable_sleep_mode: bool = False
    """Free vLLM's memory while the policy learns. For `colocate`."""
    vllm_structured_outputs_regex: str | None = None
    """Completions have to match this regular expression."""
    vllm_server_base_url: str | None = None
    """Address of the server, instead of host and port."""
    vllm_server_host: str = "0.0.0.0"
    """Host of the server."""
    vllm_server_port: int = 8000
    """Port of the server."""
    vllm_server_timeout: float = 240.0
    """Seconds to wait for a server that starts, or has died and is started again."""
    vllm_group_port: int = 51216
    """Port over which weights are sent to a server on GPUs."""
    vllm_gpu_memory_utilization: float = 0.3
    """Share of the device's memory for vLLM. For `colocate`."""
    vllm_max_model_length: int | None = None
    """Longest prompt and completion together. By default the model's."""
    vllm_tensor_parallel_size: int = 1
    """Devices that share one copy of the model in vLLM. For `colocate`."""

    # ---- Rewards

    reward_weights: list[float] | None = None
    """Weight of each reward. By default 1."""
    reward_timeout: float | None = None
    """Seconds that a reward function may take for a batch; later ones count as not given."""
    reward_clip_range: tuple[float, float] | list[float] | None = None
    """Rewards are cut to this range before the divergence is taken off."""
    normalize_advantages: bool = False
    """Centre and scale advantages over all completions (REINFORCE++, https://huggingface.co/papers/2501.03262)."""

    # ---- Loss

    beta: float = 0.05
    """Weight of the divergence from the reference, which is taken off the reward; 0 needs no reference."""
    num_iterations: int = 1
    """How often each generation is learned from."""
    epsilon: float = 0.2
    """How far below 1 the ratio of a completion still counts."""
    epsilon_high: float | None = None
    """How far above 1 a ratio still counts. By default `epsilon`."""
    mask_truncated_completions: bool = False
    """Learn nothing from completions that did not end by themselves."""
    sync_ref_model: bool = False
    """Let the reference follow the policy (TR-DPO, https://huggingface.co/papers/2404.09656)."""
    ref_model_mixup_alpha: float = 0.6
    """Share of the policy in the new reference at each synchronisation; 1 copies the policy (ibid., eq. 4 and 5)."""
    ref_model_sync_steps: int = 512
    """Optimizer steps between two synchronisations."""
    # ---- What is shown

    log_completions: bool = False
    """Show completions with their rewards at every log line, and keep all of them as Parquet files in
    `output_dir/completions`."""
    num_completions_to_print: int | None = None
    """How many of them are shown. By default all."""
    log_unique_prompts: bool = False
    """Show one completion of each prompt only."""

    def __post_init__(self) -> None:
        if self.epsilon_high is None:
            self.epsilon_high = self.epsilon
        if self.num_generations_eval is None:
            self.num_generations_eval = self.num_generations
        resolve_device_defaults(self)
        super().__post_init__()
        check_choices(self)
        check_generation(self)
        self.steps_per_generation = check_batches(self)
        check_numbers(self)
        check_inherited(self)


def check_numbers(args: RLOOConfig) -> None:
    """Raise for numbers that are out of range."""
    for name in ("num_iterations", "ref_model_sync_steps"):
        if getattr(args, name) < 1:
            raise ValueError(f"`{name}={getattr(args, name)}` must be at least 1.")
    if not args.beta >= 0:
        raise ValueError(f"`beta={args.beta}` must not be negative; 0 turns it off.")
    if args.router_aux_loss_coef is not None and args.router_aux_loss_coef < 0:
        raise ValueError(f"`router_aux_loss_coef={args.router_aux_loss_coef}` must not be negative. 0 turns it off.")
    if not 0 <= args.epsilon < 1:
        raise ValueError(f"`epsilon={args.epsilon}` must be from 0 to below 1.")
    if args.epsilon_high is not None and not args.epsilon_high >= 0:
        raise ValueError(f"`epsilon_high={args.epsilon_high}` must not be negative.")
    if not 0 < args.ref_model_mixup_alpha <= 1:
        raise ValueError(f"`ref_model_mixup_alpha={args.ref_model_mixup_alpha}` is a share: above 0, at most 1.")
    bounds = args.reward_clip_range
    numbers = isinstance(bounds, list | tuple) and all(isinstance(each, int | float) for each in bounds)
    if bounds is not None and not (numbers and len(bounds) == 2 and bounds[0] < bounds[1]):
        raise ValueError(f"`reward_clip_range={bounds}` must be two numbers, the smaller one first, such as (-5, 5).")
    if args.sync_ref_model and not args.beta:
        raise ValueError("`sync_ref_model=True`, but `beta=0` needs no reference. Set `beta`, or leave it out.")


def check_inherited(args: RLOOConfig) -> None:
    """Raise for options of transformers that would do nothing, or something else than they say."""
    if args.use_liger_kernel:
        raise ValueError(
            "`use_liger_kernel=True` would replace the model's loss, which Sternpost computes itself without holding "
            "the logits. Leave it out."
        )
    if args.label_smoothing_factor:
        raise ValueError(f"`label_smoothing_factor={args.label_smoothing_factor}` has no meaning here. Leave it out.")
    if args.auto_find_batch_size:
        raise ValueError(
            "`auto_find_batch_size=True` would change how many completions there are while they are compared. Lower "
            "`per_device_train_batch_size` and raise `gradient_accumulation_steps` instead."
        )
