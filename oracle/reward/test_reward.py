"""Loss, gradient norm, update and metrics of reward models agree with TRL's in every case, or differ for a reason."""

import pytest

from ..compare import check_equal
from .cases import CASES
from .explained import EXPLAINED
from .run import run


@pytest.mark.parametrize("name", CASES)
def test_equal(name: str, differences: dict[str, list[float]]) -> None:
    """Every step of both libraries has the same loss and gradient norm, and ends at the same weights."""
    case = CASES[name]
    unlike = case.unlike + ("num_tokens",) * case.shares
    check_equal(run("sternpost", case), run("trl", case), unlike, differences)


@pytest.mark.parametrize("name", EXPLAINED)
def test_explained(name: str) -> None:
    """A difference is exactly what its entry says."""
    EXPLAINED[name].proof()
