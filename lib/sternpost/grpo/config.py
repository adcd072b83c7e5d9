"""Options of group-relative policy optimisation. Each is documented below its field, and nowhere else."""

from dataclasses import dataclass
from typing import Any, get_args

from transformers import TrainingArguments

from ..choices import check_choices
from ..generation.options import VLLMMode, VLLMModelImpl, check_batches, check_generation
from ..models.device import resolve_device_defaults
from .checks import check_combinations, check_numbers
from .contract import CorrectionMode, ImportanceSamplingLevel, LossType, MultiObjectiveAggregation, ScaleRewards


@dataclass(kw_only=True)
class GRPOConfig(TrainingArguments):
    """Options of [`GRPOTrainer`], added to those of `transformers.TrainingArguments`.

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
    cast_lm_head_to_fp32: bool = False
    """Compute logits in float32 whatever the precision of the rest (MiniMax-M1,
    https://huggingface.co/papers/2506.13585)."""
    pad_to_multiple_of: int | str | None = "auto"
    """Pad batches to a multiple of this many tokens. `auto` leaves them at the longest row."""

    # ---- Generation

    num_generations: int = 8
    """Completions of each prompt, which are compared with one another."""
    num_generations_eval: int | None = None
    """The same in evaluation. By default `num_generations`."""
    max_completion_length: int = 512
    """Longest completion, in tokens; with tools, of all turns together."""
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

    # ---- Tools and environments

    max_tool_calling_iterations: int | None = None
    """Turns in which tools may be called. By default until the completion is long enough."""
    tool_timeout: float | None = None
    """Seconds that a call of a tool may take; then it counts as failed."""

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
    dynamic_sampling_rounds: int = 0
    """How often prompts whose completions all have the same reward are replaced by other prompts (DAPO,
    https://huggingface.co/papers/2503.14476, eq. 11); what is left then is kept."""
    replay_groups: int = 0
    """How many prompts with completions of different rewards are kept, to take the place of later ones without."""

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
    delta: float | None = None
    """Bounds the ratio of the unclipped term too (INTELLECT-2, https://huggingface.co/papers/2505.07291)."""
    epsilon_high: float | None = None
    """How far above 1 a ratio still counts; for `cispo` the largest ratio. By default `epsilon`."""
    sapo_temperature_neg: float = 1.05
    """Temperature of `sapo` for negative advantages."""
    sapo_temperature_pos: float = 1.0
    """Temperature of `sapo` for positive advantages."""
    vespo_k_pos: float = 2.0
    """Exponent of `vespo` for advantages that are not negative."""
    vespo_lambda_pos: float = 3.0
    """Steepness of `vespo` for advantages that are not negative."""
    vespo_k_neg: float = 3.0
    """Exponent of `vespo` for negative advantages."""
    vespo_lambda_neg: float = 2.0
    """Steepness of `vespo` for negative advantages."""
    importance_sampling_level: ImportanceSamplingLevel = "token"
    """Whether a ratio is that of a token, or the mean of its sequence (GSPO,
    https://huggingface.co/papers/2507.18071)."""
    mask_truncated_completions: bool = False
    """Learn nothing from completions that did not end by themselves."""
    sync_ref_model: bool = False
    """Let the reference follow the policy (TR-DPO, https://huggingface.co/papers/2404.09656)."""
    ref_model_mixup_alpha: float = 0.6
    """Share of the policy in the new reference at each synchronisation; 1 copies the policy (ibid., eq. 4 and 5)."""
    ref_model_sync_steps: int = 512
    """Optimizer steps between two synchronisations."""
    top_entropy_quantile: float = 1.0
    """Learn only from this share of the tokens, those at which the policy is least sure
    (https://huggingface.co/papers/2506.01939)."""
    entropy_coef: float = 0.0
    """Weight of a bonus for the mean entropy of the next-token distribution."""
    use_adaptive_entropy: bool = False
    """Change `entropy_coef` while training so that the entropy stays near `entropy_target` (Skywork-OR1,
    https://huggingface.co/papers/2505.22312)."""
    entropy_coef_min: float = 0.0
    """Smallest adaptive coefficient."""
    entropy_coef_max: float = 1.0
    """Largest adaptive coefficient."""
    entropy_coef_delta: float = 0.005
    """Change of the adaptive coefficient after each optimizer step."""
    entropy_target: float = 0.2
    """Mean entropy, in nats, below which the adaptive bonus is given."""

    # ---- Completions that the policy would draw otherwise

    vllm_importance_sampling_correction: bool = True
    """Weigh what vLLM, a roll-out function or another backend has drawn by how much likelier the policy would have
    drawn it."""
    vllm_importance_sampling_mode: CorrectionMode = "sequence_mask"
    """Whether weights are of tokens or of sequences, and those that are too large (or too small) cut or set to 0."""
    vllm_importance_sampling_clip_max: float | None = 3.0
    """Largest weight."""
    vllm_importance_sampling_clip_min: float | None = None
    """Smallest weight."""
    off_policy_mask_threshold: float | None = None
    """Learn nothing from completions with a negative advantage whose tokens became less likely by more than this many
    nats in the mean (DeepSeek-V3.2, https://huggingface.co/papers/2512.02556)."""

    # ---- What is shown

    log_completions: bool = False
    """Show completions with their rewards at every log line, and keep all of them as Parquet files in
    `output_dir/completions`."""
    num_completions_to_print: int | None = None
    """How many of them are shown. By default all."""
    log_unique_prompts: bool = False
    """Show one completion of each prompt only."""

    def __post_init__(self) -> None:
        if isinstance(self.scale_rewards, bool):
            self.scale_rewards = "group" if self.scale_rewards else "none"
        if self.epsilon_high is None:
            self.epsilon_high = self.epsilon
        if self.num_generations_eval is None:
            self.num_generations_eval = self.num_generations
        resolve_device_defaults(self)
        super().__post_init__()
        check_choices(self)
        if self.scale_rewards not in get_args(ScaleRewards):
            raise ValueError(
                f"`scale_rewards={self.scale_rewards!r}` is not one of {', '.join(map(repr, get_args(ScaleRewards)))}."
            )
        check_generation(self)
        self.steps_per_generation = check_batches(self)
        check_numbers(self)
        check_combinations(self)
