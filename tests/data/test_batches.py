"""Rectangular tensors: padding behind, lengths rounded up, positions that restart."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from sternpost.data.batches import pad, positions, real_tokens

ROWS = st.lists(st.lists(st.integers(0, 99), max_size=9), min_size=1, max_size=5)


@given(ROWS, st.sampled_from([None, 1, 4, 7]))
def test_pad(rows, multiple_of):
    """Each row stands on the left with the padding behind it; the width is the least multiple that fits."""
    padded = pad(rows, -1, multiple_of)
    longest = max(map(len, rows))
    width = next(n for n in range(longest, longest + 8) if n % (multiple_of or 1) == 0)
    assert padded.shape == (len(rows), width)
    assert padded.tolist() == [row + [-1] * (width - len(row)) for row in rows]
    mask = real_tokens([len(row) for row in rows], width)
    assert mask.tolist() == [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    assert mask.dtype == padded.dtype == torch.int64


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6))
def test_positions_restart(lengths):
    """Positions count from 0 in each row laid end to end."""
    assert positions(lengths).tolist() == [[at for length in lengths for at in range(length)]]
