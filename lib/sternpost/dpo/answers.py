"""What a model says about the answers of a batch: scores per token -> sums per answer.

A batch of P pairs holds 2P answers: numbers 0 to P-1 are the chosen ones, P to 2P-1 the rejected ones, 2P is no answer.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..data.batches import IGNORE, RowLengths
from .loss import length_weights


@dataclass(frozen=True)
class Answers:
    """Which tokens of a batch are scored, and which predictions belong to which answer."""

    labels: Int[Tensor, "B S"]
    """The tokens of the answers; `IGNORE` elsewhere, and where nothing comes before an answer."""
    numbers: Int[Tensor, "B T"]
    """The answer of each prediction, 2P where there is no label."""
    count: int
    """2P."""
    alpha: float | None = None
    """Weight of the tokens beyond the length of the shorter answer of a pair (`ld_alpha`)."""

    @classmethod
    def of(cls, batch: dict[str, Any], alpha: float | None = None) -> "Answers":
        """The answers of a batch of `DataCollatorForPreference`, in either layout."""
        mask = batch["completion_mask"]
        labels = batch["input_ids"].where(mask == 1, IGNORE)
        if "seq_lengths" in batch:
            pairs = [row for row in batch["seq_lengths"] if not isinstance(row, int)]
            count = 2 * len(pairs)
            unpredicted = first_places(batch["seq_lengths"])
            labels[0, [place for place in unpredicted if place < labels.size(1)]] = IGNORE
            sizes = torch.tensor([size for row in pairs for size in row])
            owners = torch.tensor([number for at in range(len(pairs)) for number in (count, at, len(pairs) + at)])
            numbers = torch.full((labels.size(1),), count)
            numbers[: int(sizes.sum())] = owners.repeat_interleave(sizes)
            numbers = numbers.to(labels.device, non_blocking=True)[None]
        else:
            count = len(mask)
            numbers = torch.arange(count, device=mask.device)[:, None].expand_as(mask)
        return cls(labels, numbers.where(labels != IGNORE, count)[:, 1:], count, alpha)

    @property
    def tokens(self) -> Float[Tensor, "A"]:
        """Lengths of the answers."""
        return self.sums(torch.ones(self.numbers.shape, device=self.numbers.device))

    def sums(self, values: Float[Tensor, "B T"]) -> Float[Tensor, "A"]:
        """Values per token, added up for each answer.

        In float64 where there is such a thing: a loss is made of small differences between large sums.
        """
        values = values.flatten() if values.device.type == "mps" else values.flatten().double()
        return values.new_zeros(self.count + 1).index_add(0, self.numbers.flatten(), values)[: self.count]

    def weighted(self, logps: Float[Tensor, "B T"]) -> Float[Tensor, "A"]:
        """Log-probability of each answer, whose tokens may count differently."""
        return self.sums(logps if self.alpha is None else logps * self.weights(self.alpha))

    def weights(self, alpha: float) -> Float[Tensor, "B T"]:
        """What each token counts."""
        numbers = self.numbers.flatten()
        places = torch.arange(len(numbers), device=numbers.device)
        first = places.new_full((self.count + 1,), len(numbers)).scatter_reduce(0, numbers, places, "amin")
        chosen, rejected = self.tokens.long().chunk(2)
        common = torch.minimum(chosen, rejected)
        common = torch.cat([common, common, common.new_zeros(1)])
        return length_weights(places - first[numbers], common[numbers], alpha).view(self.numbers.shape)


def first_places(lengths: RowLengths) -> list[int]:
    """Where the sequences begin that have nothing before them."""
    places, start = [], 0
    for row in lengths:
        shared, *branches = (row,) if isinstance(row, int) else row
        places.append(start)
        start += shared
        for length in branches:
            if not shared:
                places.append(start)
            start += length
    return places
