from dataclasses import dataclass


@dataclass(kw_only=True)
class Config:
    packing: bool = False
    length: int = 512


@dataclass(kw_only=True)
class ModelConfig:
    model_path: str = "."
