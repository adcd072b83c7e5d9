from dataclasses import dataclass

__all__ = ["Config"]


@dataclass
class Config:
    path: str = "."
    split: str = "train"
