from typing import Literal

LossType = Literal["nll", "dft"]

ROWS = {"prompt_completion": ("prompt", "completion")}
OPTIONAL_COLUMNS = ("tools", "images")
BATCH = {"padded": {"input_ids": "B S", "labels": "B S"}, "packed": {"input_ids": "1 S", "seq_lengths": "B"}}
METRICS = ("loss", "entropy", "num_tokens")
CHECKPOINT = ("config.json", "model.safetensors")
HOOKS = ("compute_loss",)
