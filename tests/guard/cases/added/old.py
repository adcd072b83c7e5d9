"""Nothing that is new here can be in anybody's way."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Config", "Trainer", "pack"]


@dataclass(kw_only=True)
class Config:
    loss_type: Literal["nll"] = "nll"


class Trainer:
    def train(self): ...


def pack(rows, length): ...
