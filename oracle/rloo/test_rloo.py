"""Loss, gradient norm, update, advantages and metrics of RLOO agree with TRL's in every case, or for a reason not."""

import pytest

from ..online import check_online
from .cases import CASES
from .explained import EXPLAINED
from .run import run


@pytest.mark.parametrize("name", CASES)
def test_equal(name: str, differences: dict[str, list[float]]) -> None:
    """Every step of both libraries has the same loss and gradient norm, and ends at the same weights."""
    case = CASES[name]
    check_online(run("sternpost", case), run("trl", case), case.unlike, differences)


@pytest.mark.parametrize("name", EXPLAINED)
def test_explained(name: str) -> None:
    """A difference is exactly what its entry says."""
    EXPLAINED[name].proof()
