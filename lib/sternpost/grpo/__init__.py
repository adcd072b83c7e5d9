"""Group-relative policy optimisation: prompts and rewards in, a model that earns more of them out."""

from .config import GRPOConfig
from .trainer import GRPOTrainer

__all__ = ["GRPOConfig", "GRPOTrainer"]
