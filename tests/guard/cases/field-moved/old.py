"""Fields of `Far` follow those of a base that is not known, so that nobody passes them by position."""

from dataclasses import KW_ONLY, dataclass

from transformers import TrainingArguments

__all__ = ["Near", "Far"]


@dataclass
class Near:
    path: str
    split: str = "train"
    _: KW_ONLY
    streaming: bool = False


@dataclass
class Far(TrainingArguments):
    beta: float = 0.1
