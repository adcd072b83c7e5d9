"""REINFORCE leave-one-out: prompts and rewards in, a model that earns more of them out."""

from .config import RLOOConfig
from .trainer import RLOOTrainer

__all__ = ["RLOOConfig", "RLOOTrainer"]
