"""A field of a private base is one finding, however many classes inherit it."""

from dataclasses import dataclass

__all__ = ["DPOConfig", "SFTConfig"]


@dataclass
class _BaseConfig:
    max_prompt_length: int = 512


@dataclass
class SFTConfig(_BaseConfig): ...


@dataclass
class DPOConfig(_BaseConfig):
    beta: float = 0.1
