"""What the reward room promises, as data: used by the code, frozen in `api_snapshots/`, tested in `contract_tests/`.

Changing a value here is a change of the contract: the guard compares this file with the last release.
"""

ROWS = {
    "preference": ("prompt", "chosen", "rejected"),
    "preference_implicit": ("chosen", "rejected"),
    "tokenized": ("chosen_ids", "rejected_ids"),
}
"""Row formats accepted by `RewardTrainer`, with the columns that each needs: strings, lists of messages, or tokens of
the prompt and one answer."""

OPTIONAL_COLUMNS = ("margin", "tools", "chat_template_kwargs", "images", "image")
"""Columns that are read when they are there."""

BATCH = {
    "padded": {"input_ids": "2P S", "attention_mask": "2P S"},
    "shared": {
        "input_ids": "1 S",
        "position_ids": "1 S",
        "seq_lengths": "list of P tuples (shared, chosen, rejected)",
    },
}
"""Keys and shapes of the batches that `DataCollatorForPreference` makes, per layout; both may also hold `margin`, of
shape P."""

METRICS = ("loss", "num_tokens", "min_reward", "mean_reward", "max_reward", "accuracy", "margin")
"""Metrics of every log line, prefixed by `eval_` in evaluation."""

CHECKPOINT = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
              "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")  # fmt: skip
"""Files of a checkpoint of a full model trained in one process, whose tokenizer has a chat template."""

HOOKS = ("prepare_dataset", "compute_loss", "training_step", "prediction_step", "evaluation_loop", "log")
"""Methods of `RewardTrainer` that a subclass may override."""
