from dataclasses import dataclass

__all__ = ["DPOConfig", "SFTConfig"]


@dataclass
class _BaseConfig:
    max_prompt_tokens: int = 512


@dataclass
class SFTConfig(_BaseConfig): ...


@dataclass
class DPOConfig(_BaseConfig):
    beta: float = 0.1
