"""Prompts come in whole groups, and completions find their places in a batch again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sternpost.data.batches import IGNORE
from sternpost.data.groups import GroupSampler, completion_batch


@given(rows=st.integers(1, 12), prompts=st.integers(1, 4), group=st.integers(1, 3), repeats=st.integers(1, 3))
def test_order_of_prompts(rows, prompts, group, repeats):
    """Batches of different prompts, each prompt in one row after the other, every batch as often as asked."""
    if rows < prompts:
        with pytest.raises(ValueError, match=f"has {rows} rows"):
            GroupSampler(rows, prompts, group, repeats)
        return
    sampler = GroupSampler(rows, prompts, group, repeats, seed=3)
    order = list(sampler)
    assert len(order) == len(sampler)
    size = prompts * group
    seen = []
    for start in range(0, len(order), size * repeats):
        batch = order[start : start + size]
        assert all(order[start + n * size : start + (n + 1) * size] == batch for n in range(repeats))
        assert all(len(set(batch[at : at + group])) == 1 for at in range(0, size, group))
        seen += batch[::group]
    assert len(seen) == len(set(seen)) == rows // prompts * prompts


def test_epochs_differ():
    """The same epoch is the same order."""
    epochs = iter([0, 0, 1])
    sampler = GroupSampler(50, 5, 2, seed=1, epoch=lambda: next(epochs))
    first = list(sampler)
    assert list(sampler) == first
    assert list(sampler) != first


@given(st.data())
def test_values_find_their_completions(data):
    """In both layouts `per_completion` gives each token's value its row and place, and zero behind the end."""
    tokens = st.integers(1, 50)
    groups = data.draw(st.lists(st.tuples(st.lists(tokens, min_size=1, max_size=4), st.integers(1, 3)), min_size=1,
                                max_size=3))  # fmt: skip
    prompts = [prompt for prompt, count in groups for _ in range(count)]
    completions = [data.draw(st.lists(tokens, min_size=1, max_size=5)) for _ in prompts]
    for shared in (False, True):
        batch = completion_batch(prompts, completions, pad_token_id=0, shared=shared)
        values = batch.inputs["input_ids"][:, 1:].float()
        found = batch.per_completion(values)
        for row, completion in zip(found.tolist(), completions, strict=True):
            assert row == [*completion, *[0] * (len(row) - len(completion))]
        assert (batch.labels != IGNORE).sum() == sum(map(len, completions))
    assert torch.equal(batch.to(torch.device("cpu")).labels, batch.labels)
