"""Rows of tokens -> rectangular tensors."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

IGNORE = -100
"""Label of a position that is not learned."""


def pad(rows: Sequence[Sequence[int]], value: int, multiple_of: int | None = None) -> Tensor:
    """`[B, S]` with the rows on the left and `value` behind them; S is a multiple of `multiple_of`."""
    width = round_up(max((len(row) for row in rows), default=0), multiple_of)
    padded = np.full((len(rows), width), value, dtype=np.int64)
    for at, row in enumerate(rows):
        padded[at, : len(row)] = row
    return torch.from_numpy(padded)


def real_tokens(lengths: Sequence[int], width: int) -> Tensor:
    """`[B, S]`: 1 where a row has a token, 0 behind its end."""
    return (torch.arange(width) < torch.tensor(lengths)[:, None]).long()


def positions(lengths: Sequence[int]) -> Tensor:
    """`[1, S]`: 0, 1, 2, ... for each of the rows laid end to end."""
    sizes = np.asarray(lengths, dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    return torch.from_numpy(np.arange(int(sizes.sum())) - np.repeat(starts, sizes))[None]


def round_up(number: int, multiple_of: int | None) -> int:
    return -(-number // multiple_of) * multiple_of if multiple_of else number
