from dataclasses import dataclass
from typing import Literal

__all__ = ["Config", "NewConfig", "Trainer", "pack", "unpack"]


@dataclass(kw_only=True)
class Config:
    packing: bool = False
    loss_type: Literal["nll", "dft"] = "nll"


@dataclass(kw_only=True)
class NewConfig:
    beta: float


class Trainer:
    tags = ("new",)

    def train(self, resume=None, **kwargs): ...

    def evaluate(self): ...


def pack(rows, length, side="left", *, strategy=None): ...


def unpack(rows): ...
