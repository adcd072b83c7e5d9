"""Reward modelling: pairs of a better and a worse answer in, a model that gives each answer a number out."""

from .config import RewardConfig
from .data import DataCollatorForPreference
from .trainer import RewardTrainer
from .vision import DataCollatorForVisionPreference

__all__ = ["DataCollatorForPreference", "DataCollatorForVisionPreference", "RewardConfig", "RewardTrainer"]
