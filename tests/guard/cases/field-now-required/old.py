from dataclasses import dataclass

__all__ = ["Config"]


@dataclass(kw_only=True)
class Config:
    path: str = "."
