"""What it means that two runs are equal, or that a difference is explained."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import pytest

from .train import Run

TOLERANCE = 1e-5
METRIC_TOLERANCE: dict[str, Any] = {"rel": 1e-4, "abs": 1e-5}
"""Absolute for metrics that are small differences of large log-probabilities."""
UPDATE_TOLERANCE = 2e-4
"""Of all trained weights together after some steps: a float32 weight near one moves in steps of 1e-7."""


def relative(ours: float, peer: float, least: float = 1e-12) -> float:
    return abs(ours - peer) / max(abs(peer), least)


def check_equal(
    ours: Run, peer: Run, unlike: tuple[str, ...], differences: dict[str, list[float]], least: float = 1e-12
) -> None:
    """Assert that every step has the same loss, gradient norm and metrics, and that both end at the same weights.

    Losses are compared relative to what they are, or to the `least` that is large.
    """
    loss = max(relative(a, b, least) for a, b in zip_longest(ours.losses, peer.losses, fillvalue=0.0))
    norm = max(relative(a, b) for a, b in zip_longest(ours.grad_norms, peer.grad_norms, fillvalue=0.0))
    update = float((ours.change - peer.change).norm() / peer.change.norm())
    for kind, value in (("loss", loss), ("grad_norm", norm), ("update", update)):
        differences[kind].append(value)
    assert ours.learned == peer.learned > 0
    assert loss <= TOLERANCE
    assert norm <= TOLERANCE
    assert update <= UPDATE_TOLERANCE
    compared = set()
    for mine, theirs in zip(ours.metrics, peer.metrics, strict=True):
        assert mine.keys() == theirs.keys()
        for name in theirs:
            if name.removeprefix("eval_") not in unlike:
                assert mine[name] == pytest.approx(theirs[name], **METRIC_TOLERANCE), name
                compared.add(name)
    assert compared


def same(one: Run, other: Run) -> bool:
    """Whether two runs have the same loss and gradient norm in every step."""
    pairs = zip(one.losses + one.grad_norms, other.losses + other.grad_norms, strict=True)
    return all(a == pytest.approx(b, rel=TOLERANCE) for a, b in pairs)


@dataclass(frozen=True)
class Difference:
    """One difference, which library is right, and the proof that it is this and nothing else."""

    reason: str
    proof: Callable[[], None]
