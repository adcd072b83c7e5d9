from dataclasses import dataclass, field

from transformers import TrainingArguments

__all__ = ["Config"]


@dataclass(kw_only=True)
class Config(TrainingArguments):
    learning_rate: float = 2e-5
    betas: tuple = (0.9, 0.999)
    kwargs: dict = field(default_factory=dict)
