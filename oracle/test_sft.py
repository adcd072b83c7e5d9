"""Loss, gradient norm, update and metrics of SFT agree with TRL's in every case, or differ for a proven reason."""

from itertools import zip_longest
from pathlib import Path

import pytest

from .cases import CASES
from .explained import EXPLAINED, run

TOLERANCE = 1e-5
UPDATE_TOLERANCE = 2e-4
"""Of all trained weights together after some steps: a float32 weight near one moves in steps of 1e-7."""


def relative(ours: float, peer: float) -> float:
    return abs(ours - peer) / max(abs(peer), 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_equal(name: str, differences: dict[str, list[float]]) -> None:
    """Every step of both libraries has the same loss and gradient norm, and ends at the same weights."""
    case = CASES[name]
    peer, ours = run("trl", case), run("sternpost", case)
    loss = max(relative(a, b) for a, b in zip_longest(ours.losses, peer.losses, fillvalue=0.0))
    norm = max(relative(a, b) for a, b in zip_longest(ours.grad_norms, peer.grad_norms, fillvalue=0.0))
    update = float((ours.change - peer.change).norm() / peer.change.norm())
    for kind, value in (("loss", loss), ("grad_norm", norm), ("update", update)):
        differences[kind].append(value)
    assert ours.learned == peer.learned > 0
    assert loss <= TOLERANCE
    assert norm <= TOLERANCE
    assert update <= UPDATE_TOLERANCE
    if case.compare_metrics:
        for mine, theirs in zip(ours.metrics, peer.metrics, strict=True):
            assert mine == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize("name", EXPLAINED)
def test_explained(name: str) -> None:
    """A difference is exactly what its entry says."""
    EXPLAINED[name].proof()


def test_differences_are_documented() -> None:
    """The table of differences in the documentation is the one that is proven here, word for word."""
    page = (Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for name, difference in EXPLAINED.items():
        assert f"| {name} | {difference.reason} |" in page
