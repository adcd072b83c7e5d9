"""Prompts whose completions all have the same reward teach nothing: others take their place."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..generation.trajectory import Trajectory
from ..rewards.groups import group_spread, weighted_sum
from .contract import MultiObjectiveAggregation

SMALL = 1e-6
"""Advantages below are those of rounding."""


def silent_groups(
    rewards: Float[Tensor, "N K"],
    weights: Float[Tensor, "K"],
    group: int,
    aggregation: MultiObjectiveAggregation = "sum_then_normalize",
) -> list[int]:
    """The groups, by number, whose completions all have the same reward and so no advantage: in sum, or each of the
    rewards where they are normalised one by one."""
    columns = rewards.unbind(1) if aggregation == "normalize_then_sum" else [weighted_sum(rewards, weights)]
    silent = torch.stack([group_spread(column, group)[::group] < 1e-12 for column in columns]).all(0)
    return silent.nonzero()[:, 0].tolist()


class FurtherRows:
    """Numbers of rows to try instead of others, in an order of their own; the same on all ranks."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self.taken = 0
        """Of all epochs; kept in checkpoints."""
        self.shuffled: tuple[int, Tensor] | None = None
        """The epoch that was shuffled last, and its order."""

    def take(self, count: int) -> Iterator[int]:
        """The next ones."""
        for number in range(self.taken, self.taken + count):
            epoch, place = divmod(number, self.rows)
            yield int(self.order(epoch)[place])
        self.taken += count

    def order(self, epoch: int) -> Int[Tensor, "rows"]:
        """All rows as an epoch takes them."""
        if self.shuffled is None or self.shuffled[0] != epoch:
            generator = torch.Generator().manual_seed(self.seed + 1_000_003 * (epoch + 1))
            self.shuffled = epoch, torch.randperm(self.rows, generator=generator)
        return self.shuffled[1]


class Replay:
    """The last groups with signal of this rank, to take the place of later ones without; each once."""

    def __init__(self, size: int) -> None:
        self.groups: deque[tuple[list[Trajectory], Float[Tensor, G]]] = deque(maxlen=size)

    def exchange(
        self, trajectories: Sequence[Trajectory], advantages: Float[Tensor, "N"], group: int
    ) -> tuple[list[Trajectory], Float[Tensor, "N 1"]]:
        """The trajectories, with kept groups, the newest first, in the places of those whose advantages are all zero,
        and 1 for those that are replayed, else 0. Advantages are replaced in place, and groups with signal are kept.
        """
        found = list(trajectories)
        replayed = torch.zeros(len(found), 1, device=advantages.device)
        fresh = []
        for at in range(0, len(found), group):
            part = slice(at, at + group)
            if (advantages[part].abs() > SMALL).any():
                if any(each.logps is None for each in found[part]):
                    continue  # nobody knows how they were drawn
                kept = [replace(each, environment=None, fields={}) for each in found[part]]
                fresh.append((kept, advantages[part].clone()))
            elif self.groups:
                found[part], advantages[part] = self.groups.pop()
                replayed[part] = 1
        self.groups.extend(fresh)
        return found, replayed
