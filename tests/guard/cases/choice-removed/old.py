"""`side` takes any value from now on, which takes nothing away."""

from dataclasses import dataclass, field
from typing import Literal, Optional

__all__ = ["Config", "pack"]

LossType = Literal["sigmoid", "hinge", "aot_pair"]
STRATEGIES = ("bfd", "wrapped")


@dataclass(kw_only=True)
class Config:
    loss_type: "list[LossType] | LossType" = "sigmoid"
    side: Optional[Literal["left", "right"]] = None
    dtype: str = field(default="auto", metadata={"choices": ["auto", "float16"]})


def pack(rows, strategy: Literal[*STRATEGIES] = "bfd"): ...
