from dataclasses import dataclass, field

__all__ = ["Config"]


@dataclass(kw_only=True)
class Config:
    path: str = "."
    world_size: int = field(init=False, default=1)
