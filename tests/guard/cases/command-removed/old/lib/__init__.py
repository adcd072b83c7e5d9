from .config import Config, ModelConfig

__all__ = ["Config", "ModelConfig"]
