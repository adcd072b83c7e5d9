"""What the DPO room promises, as data: used by the code, frozen in `api_snapshots/`, tested in `contract_tests/`.

Changing a value here is a change of the contract: the guard compares this file with the last release.
"""

from typing import Literal

LossType = Literal[
    "sigmoid",
    "hinge",
    "ipo",
    "exo_pair",
    "nca_pair",
    "robust",
    "bco_pair",
    "sppo_hard",
    "aot",
    "aot_unpaired",
    "apo_zero",
    "apo_down",
    "discopop",
    "sft",
    "sigmoid_norm",
]
FDivergenceType = Literal["reverse_kl", "forward_kl", "js_divergence", "alpha_divergence"]
TruncationMode = Literal["keep_start", "keep_end"]

ROWS = {
    "preference": ("prompt", "chosen", "rejected"),
    "preference_implicit": ("chosen", "rejected"),
    "tokenized": ("prompt_ids", "chosen_ids", "rejected_ids"),
}
"""Row formats accepted by `DPOTrainer`, with the columns that each needs: strings, lists of messages, or token ids."""

OPTIONAL_COLUMNS = (
    "tools",
    "chat_template_kwargs",
    "images",
    "image",
    "ref_chosen_logps",
    "ref_rejected_logps",
)
"""Columns that are read when they are there."""

BATCH = {
    "padded": {"input_ids": "2P S", "attention_mask": "2P S", "completion_mask": "2P S"},
    "shared": {
        "input_ids": "1 S",
        "position_ids": "1 S",
        "completion_mask": "1 S",
        "seq_lengths": "list of P tuples (prompt, chosen, rejected)",
    },
}
"""Keys and shapes of the batches that `DataCollatorForPreference` makes, per layout; both may also hold
`ref_chosen_logps` and `ref_rejected_logps`, each of shape P."""

METRICS = (
    "loss",
    "entropy",
    "mean_token_accuracy",
    "num_tokens",
    "logits/chosen",
    "logits/rejected",
    "logps/chosen",
    "logps/rejected",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/accuracies",
    "rewards/margins",
    "aux_loss",
)
"""Metrics of every log line (`aux_loss` for mixture-of-experts models only), prefixed by `eval_` in evaluation."""

CHECKPOINT = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
              "chat_template.jinja", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth",
              "trainer_state.json")  # fmt: skip
"""Files of a checkpoint of a full model trained in one process, whose tokenizer has a chat template."""

HOOKS = ("prepare_dataset", "compute_loss", "reference_logps", "training_step", "prediction_step", "evaluation_loop",
         "log")  # fmt: skip
"""Methods of `DPOTrainer` that a subclass may override."""
