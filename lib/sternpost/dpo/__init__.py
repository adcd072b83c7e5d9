"""Preference optimisation: pairs of a better and a worse answer in, a model that prefers the better ones out."""

from .config import DPOConfig
from .data import DataCollatorForPreference
from .trainer import DPOTrainer
from .vision import DataCollatorForVisionPreference

__all__ = ["DPOConfig", "DPOTrainer", "DataCollatorForPreference", "DataCollatorForVisionPreference"]
