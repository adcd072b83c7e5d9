"""What the SFT room promises, as data: used by the code, frozen in `api_snapshots/`, tested in `contract_tests/`.

Changing a value here is a change of the contract: the guard compares this file with the last release.
"""

from typing import Literal

LossType = Literal["nll", "dft"]
PackingStrategy = Literal["bfd", "bfd_split", "wrapped"]
TruncationMode = Literal["keep_start", "keep_end"]

ROWS = {
    "text": ("text",),
    "prompt_completion": ("prompt", "completion"),
    "messages": ("messages",),
    "conversations": ("conversations",),
    "tokenized": ("input_ids",),
}
"""Row formats accepted by `SFTTrainer`, with the columns that each needs."""

OPTIONAL_COLUMNS = (
    "tools",
    "chat_template_kwargs",
    "images",
    "image",
    "labels",
    "completion_mask",
    "assistant_masks",
    "seq_lengths",
)
"""Columns that are read when they are there."""

BATCH = {
    "padded": {"input_ids": "B S", "attention_mask": "B S", "labels": "B S"},
    "padding_free": {"input_ids": "1 S", "position_ids": "1 S", "labels": "1 S", "seq_lengths": "list of B integers"},
}
"""Keys and shapes of the batches that `DataCollatorForLanguageModeling` makes, per layout."""

METRICS = ("loss", "entropy", "mean_token_accuracy", "num_tokens", "aux_loss")
"""Metrics of every log line (`aux_loss` for mixture-of-experts models only), prefixed by `eval_` in evaluation."""

HOOKS = ("prepare_dataset", "compute_loss", "training_step", "prediction_step", "evaluation_loop", "log")
"""Methods of `SFTTrainer` that a subclass may override."""

CHECKPOINT = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
              "chat_template.jinja", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth",
              "trainer_state.json")  # fmt: skip
"""Files of a checkpoint of a full model trained in one process, whose tokenizer has a chat template."""
