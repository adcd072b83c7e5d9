from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Config", "pack"]

LossType = Literal["sigmoid", "hinge", "ipo"]
STRATEGIES = ("bfd", "bfd_split", "wrapped")


@dataclass(kw_only=True)
class Config:
    loss_type: list[LossType] | LossType = "sigmoid"
    side: str | None = None
    dtype: str = field(default="auto", metadata={"choices": ["auto", "bfloat16"]})


def pack(rows, strategy: Literal[*STRATEGIES] = "bfd"): ...
