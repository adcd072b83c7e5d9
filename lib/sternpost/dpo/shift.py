"""What BCO compares rewards with."""

from typing import Any

import torch
from torch import Tensor


class RewardShift:
    """BCO's running mean of the rewards, over all optimizer steps before this one, so that accumulation and ranks do
    not change it (https://huggingface.co/papers/2404.04656)."""

    def __init__(self) -> None:
        self.total = torch.zeros(2, dtype=torch.float64)
        """Sum of the rewards' means over pairs, and pairs, of all closed steps and ranks."""
        self.open: Tensor | None = None

    @property
    def value(self) -> Tensor:
        return self.total[0] / self.total[1].clamp(min=1)

    def add(self, mean: Tensor, pairs: int) -> None:
        """Add a micro-batch to the open step."""
        share = torch.stack([mean.double() * pairs, mean.new_tensor(pairs).double()])
        self.open = share if self.open is None else self.open + share

    def close_step(self, accelerator: Any) -> None:
        """Let the open step count from now on."""
        if self.open is not None:
            self.total += accelerator.reduce(self.open, reduction="sum").cpu()
            self.open = None
