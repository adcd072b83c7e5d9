"""The losses against their formulas."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from sternpost.sft.contract import LossType
from sternpost.sft.loss import LOSSES, dft, nll

LOGPS = st.lists(st.floats(-20, -1e-3), min_size=1, max_size=8)


def test_table_holds_the_declared_types():
    """Every `loss_type` of the contract has a loss, and nothing else has."""
    assert tuple(LOSSES) == LossType.__args__


@given(LOGPS)
def test_nll(values):
    """`-log p`, with slope -1."""
    logps = torch.tensor(values, requires_grad=True)
    loss = nll(logps)
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.tensor([-value for value in values]))
    torch.testing.assert_close(logps.grad, -torch.ones(len(values)))


@given(LOGPS)
def test_dft(values):
    """`-p log p` whose gradient treats p as a constant: slope -p."""
    logps = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    loss = dft(logps)
    loss.sum().backward()
    probabilities = torch.tensor(values, dtype=torch.float64).exp()
    torch.testing.assert_close(loss, -probabilities * torch.tensor(values, dtype=torch.float64))
    torch.testing.assert_close(logps.grad, -probabilities)
