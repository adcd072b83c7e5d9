"""Metrics: exact means over micro-batches, and nothing is lost or counted twice."""

import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from sternpost.metrics import MetricBuffer


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(1, 50)), min_size=1, max_size=20))
def test_mean_is_weighted_by_count(shares):
    """The mean over micro-batches of different sizes is the mean over their elements."""
    buffer = MetricBuffer()
    for total, count in shares:
        buffer.add({"metric": (torch.tensor(total), torch.tensor(count))})
    expected = sum(total for total, _ in shares) / sum(count for _, count in shares)
    flushed = buffer.flush(Accelerator(cpu=True))
    torch.testing.assert_close(flushed["metric"], expected, rtol=1e-5, atol=1e-3)


def test_count_of_zero_is_a_sum():
    """A metric without a count is the total itself."""
    buffer = MetricBuffer()
    for tokens in (3, 4):
        buffer.add({"num_tokens": (torch.tensor(tokens), torch.tensor(0))})
    assert buffer.flush(Accelerator(cpu=True)) == {"num_tokens": 7.0}


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=9))
def test_smallest_and_largest_values_are_kept(values):
    """The extremes of all micro-batches, beside the means and forgotten with them."""
    buffer, accelerator = MetricBuffer(), Accelerator(cpu=True)
    for value in map(torch.tensor, values):
        buffer.add({"mean": (value, torch.tensor(1))}, smallest={"low": value}, largest={"high": value, "top": -value})
    assert buffer.flush(accelerator, ["top"]) == {"top": -min(values)}
    flushed = buffer.flush(accelerator)
    assert (flushed["low"], flushed["high"]) == (min(values), max(values))
    assert list(flushed) == ["mean", "low", "high"]
    assert buffer.flush(accelerator) == {}


def test_flush_forgets_what_it_returns():
    """Some names can be asked for by themselves; the others stay for the next time."""
    buffer, accelerator, one = MetricBuffer(), Accelerator(cpu=True), torch.tensor(1)
    buffer.add({"a": (torch.tensor(2.0), one), "b": (torch.tensor(3.0), one)})
    assert buffer.flush(accelerator, ["a", "absent"]) == {"a": 2.0}
    assert buffer.flush(accelerator) == {"b": 3.0}
    assert buffer.flush(accelerator) == {}
