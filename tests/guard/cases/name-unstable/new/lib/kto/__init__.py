__all__ = ["KTOTrainer"]

from .trainer import KTOTrainer
