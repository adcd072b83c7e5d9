from dataclasses import dataclass, field

__all__ = ["Config"]


@dataclass
class Config:
    path: str = "."
    split: str = field(default="train", kw_only=True)
