"""Rows of tokens -> rectangular tensors."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

IGNORE = -100
"""Label of a position that is not learned."""

RowLengths: TypeAlias = Sequence[int | tuple[int, ...]]
"""How many tokens the rows laid end to end have. A tuple is a row with branches, which share their beginning: the
length of what they share, then that of each branch. Branches see what they share, but not one another."""


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


def segments(lengths: RowLengths) -> Iterator[tuple[int, int, int]]:
    """For each piece of rows laid end to end: its length, its first position, and the token before its first one.

    The token before a row is -1: nothing predicts its first token.
    """
    start = 0
    for row in lengths:
        shared, *branches = (row,) if isinstance(row, int) else row
        yield shared, 0, -1
        for length in branches:
            yield length, shared, start + shared - 1 if shared else -1
        start += shared + sum(branches)


def positions(lengths: RowLengths) -> Tensor:
    """`[1, S]`: 0, 1, 2, ... for each of the rows laid end to end; each branch goes on from what it shares."""
    sizes, firsts, _ = np.array([*segments(lengths)], dtype=np.int64).reshape(-1, 3).T
    starts = np.cumsum(sizes) - sizes
    return torch.from_numpy(np.arange(int(sizes.sum())) + np.repeat(firsts - starts, sizes))[None]


def predecessors(lengths: RowLengths) -> Tensor:
    """`[S]`: which token predicts each token. The first token of a row, which none predicts, has itself."""
    sizes, _, before = np.array([*segments(lengths)], dtype=np.int64).reshape(-1, 3).T
    indices = np.arange(int(sizes.sum())) - 1
    starts = np.cumsum(sizes) - sizes
    starts, before = starts[sizes > 0], before[sizes > 0]
    indices[starts] = np.where(before < 0, starts, before)
    return torch.from_numpy(indices)


def round_up(number: int, multiple_of: int | None) -> int:
    return -(-number // multiple_of) * multiple_of if multiple_of else number


def multiple_of(option: int | str | None) -> int | None:
    """What the option `pad_to_multiple_of` means: `auto` leaves batches at their longest row."""
    return None if option in ("auto", None) else int(option)
