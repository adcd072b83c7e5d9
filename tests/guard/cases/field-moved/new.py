from dataclasses import KW_ONLY, dataclass

from transformers import TrainingArguments

__all__ = ["Near", "Far"]


@dataclass
class Near:
    path: str
    name: str | None = None
    split: str = "train"
    _: KW_ONLY
    columns: list | None = None
    streaming: bool = False


@dataclass
class Far(TrainingArguments):
    gamma: float = 1.0
    beta: float = 0.1
