"""The YAML file of a run."""

from pathlib import Path
from typing import Any

import yaml

KNOWN = {
    "base_model", "trainer_cls", "args_cls", "datasets", "test_rows", "sequence_len", "sample_packing",
    "micro_batch_size", "gradient_accumulation_steps", "max_steps", "learning_rate", "lr_scheduler", "eval_steps",
    "save_steps", "train_on_inputs", "roles_to_train", "watch_loss_above", "adapter", "lora_r", "lora_alpha",
    "output_dir", "seed", "sft", "weight_long_rows", "label_floor", "confidence_power",
}  # fmt: skip


class Settings(dict):
    """The keys of a run as attributes; a key that was not given is None."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def read(path: str | Path, **overrides: Any) -> Settings:
    settings = Settings(yaml.safe_load(Path(path).read_text()) | overrides)
    unknown = sorted(set(settings) - KNOWN)
    if unknown:
        raise ValueError(f"unknown keys in {path}: {', '.join(unknown)}")
    return settings
