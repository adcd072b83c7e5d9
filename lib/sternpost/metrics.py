"""Metrics of a run: sums on the device for every micro-batch, one collective per log line."""

from collections.abc import Iterable, Mapping

import torch
from accelerate import Accelerator
from torch import Tensor

Share = tuple[Tensor, Tensor]
"""A total and the count that it is to be divided by; a count of zero means that the total itself is the metric."""


class MetricBuffer:
    """Adds up `(total, count)` pairs by name until they are asked for.

    Nothing is synchronised before `flush`, which needs every rank to have seen the same names.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, shares: Mapping[str, Share]) -> None:
        """Add the totals and counts of one micro-batch."""
        for name, (total, count) in shares.items():
            pair = torch.stack([total.detach().double(), count.detach().to(total.device).double()])
            self.sums[name] = self.sums[name] + pair if name in self.sums else pair

    def flush(self, accelerator: Accelerator, names: Iterable[str] | None = None) -> dict[str, float]:
        """Return the metrics over all ranks, and forget them. `names` limits both."""
        chosen = sorted(self.sums if names is None else set(names) & set(self.sums))
        if not chosen:
            return {}
        table = torch.stack([self.sums.pop(name) for name in chosen])
        if accelerator.num_processes > 1:
            table = accelerator.reduce(table, reduction="sum")
        return {
            name: total / count if count else total for name, (total, count) in zip(chosen, table.tolist(), strict=True)
        }
