"""Prompts that take the place of those that teach nothing."""

import time

import torch

from sternpost.grpo.signal import FurtherRows


def test_further_rows_are_all_rows_in_an_order_of_each_epoch():
    """The same whether rows are taken one by one or many at a time, from the beginning or later on."""
    expected = []
    for epoch in range(3):
        order = torch.Generator().manual_seed(5 + 1_000_003 * (epoch + 1))
        expected += torch.randperm(7, generator=order).tolist()
    rows = FurtherRows(7, 5)
    assert [number for count in (3, 1, 10, 0, 7) for number in rows.take(count)] == expected
    assert rows.taken == 21
    again = FurtherRows(7, 5)
    again.taken = 10
    assert [*again.take(11)] == expected[10:]


def test_further_rows_of_many_are_found_quickly():
    """They are shuffled once for each epoch, not for each row."""
    rows = FurtherRows(1_000_000, 0)
    [*rows.take(1)]
    start = time.process_time()
    [*rows.take(50)]
    shuffled = time.process_time()
    torch.randperm(1_000_000)
    assert shuffled - start < time.process_time() - shuffled
