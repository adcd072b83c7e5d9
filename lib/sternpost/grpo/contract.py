"""What the GRPO room promises, as data: used by the code, frozen in `api_snapshots/`, tested in `contract_tests/`.

Changing a value here is a change of the contract: the guard compares this file with the last release.
"""

from typing import Literal

LossType = Literal["grpo", "dapo", "bnpo", "dr_grpo", "luspo", "cispo", "sapo", "vespo"]
ImportanceSamplingLevel = Literal["token", "sequence"]
ScaleRewards = Literal["group", "batch", "none"]
MultiObjectiveAggregation = Literal["sum_then_normalize", "normalize_then_sum"]
CorrectionMode = Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"]

ROWS = {"prompt_only": ("prompt",)}
"""Row formats accepted by `GRPOTrainer`, with the columns that each needs: text or messages. With an
`environment_factory` the prompt may be left to the environments."""

OPTIONAL_COLUMNS = ("tools", "chat_template_kwargs", "environment")
"""Columns that are read when they are there (`environment` where `environment_factory` has several). Rewards are given
these and all others."""

BATCH = {
    "rollout": {
        "prompts": "list of N lists of ids",
        "completions": "list of N lists of ids",
        "advantages": "N",
        "mask": "N C",
        "sampler_logps": "N C or None",
        "replayed": "N 1 or None",
        "old_logps": "N C or None",
        "ref_logps": "N C or None",
    },
    "padded": {"input_ids": "N S", "attention_mask": "N S"},
}
"""Attributes and shapes of `inputs.rollout` in `compute_loss`; keys and shapes of the batch that a `scorer` gets."""

METRICS = (
    "loss",
    "num_tokens",
    "step_time",
    "reward",
    "reward_std",
    "frac_reward_zero_std",
    "rewards/{reward}/mean",
    "rewards/{reward}/std",
    "completions/mean_length",
    "completions/min_length",
    "completions/max_length",
    "completions/mean_terminated_length",
    "completions/min_terminated_length",
    "completions/max_terminated_length",
    "completions/clipped_ratio",
    "entropy",
    "kl",
    "clip_ratio/low_mean",
    "clip_ratio/low_min",
    "clip_ratio/high_mean",
    "clip_ratio/high_max",
    "clip_ratio/region_mean",
    "cispo_clip_ratio",
    "vespo/phi_seq_mean",
    "policy_loss",
    "entropy_coef",
    "aux_loss",
    "sampling/sampling_logp_difference/mean",
    "sampling/sampling_logp_difference/max",
    "sampling/importance_sampling_ratio/min",
    "sampling/importance_sampling_ratio/mean",
    "sampling/importance_sampling_ratio/max",
    "resampled_groups",
    "replayed_ratio",
    "tools/call_frequency",
    "tools/failure_frequency",
)
"""Metrics of a log line, prefixed by `eval_` in evaluation; docs/grpo.md says which of them need an option. `{reward}`
is the name of each reward; rewards add others by `log_metric`."""

CHECKPOINT = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
              "chat_template.jinja", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth",
              "trainer_state.json", "rollout-0.pt")  # fmt: skip
"""Files of a checkpoint of a full model trained in one process, whose tokenizer has a chat template."""

HOOKS = ("roll_out", "generate", "resample", "sampling", "score", "compute_loss", "training_step", "prediction_step",
         "evaluation_loop", "log")  # fmt: skip
"""Methods of `GRPOTrainer` that a subclass may override."""
