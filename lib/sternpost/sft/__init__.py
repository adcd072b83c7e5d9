"""Supervised fine-tuning: rows of text or conversations in, a language model that continues them out."""

from .config import SFTConfig
from .data import DataCollatorForLanguageModeling
from .trainer import SFTTrainer
from .vision import DataCollatorForVisionLanguageModeling

__all__ = ["DataCollatorForLanguageModeling", "DataCollatorForVisionLanguageModeling", "SFTConfig", "SFTTrainer"]
