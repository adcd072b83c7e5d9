"""A completion of each prompt, in one call of the backend."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sternpost.generation.backend import Group, Sampling
from sternpost.generation.turns import grouped, single_turn

from .scripted import Scripted

prompts = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=2), max_size=12)


@given(prompts)
def test_neighbours_that_are_equal_form_a_group(prompts):
    """No prompt is lost or moved, and no group follows one of the same prompt."""
    groups = grouped(prompts)
    assert [group.prompt for group in groups for _ in range(group.count)] == prompts
    assert all(left.prompt != right.prompt for left, right in pairwise(groups))


@given(prompts)
def test_every_prompt_gets_its_completion(prompts):
    """In order, with what the sampler says of each token; all of it was drawn."""
    backend = Scripted(lambda prompt, member: [*prompt, 10 + member, 99])
    found = single_turn(backend, prompts, Sampling(max_tokens=3, stop=frozenset({99})))
    members = [member for group in grouped(prompts) for member in range(group.count)]
    for prompt, member, trajectory in zip(prompts, members, found, strict=True):
        assert trajectory.prompt == prompt
        assert trajectory.ids == [*prompt, 10 + member, 99][:3]
        assert trajectory.logps == [-token / 100 for token in trajectory.ids]
        assert trajectory.drawn == [True] * len(trajectory.ids)
        assert trajectory.finished == (len(prompt) == 1)
    assert len(backend.calls) == bool(prompts)


def test_a_prompt_is_sent_once_for_its_group():
    """Four completions, two groups."""
    backend = Scripted(lambda prompt, member: [5])
    single_turn(backend, [[1], [1], [1], [2]], Sampling(max_tokens=1))
    assert backend.calls == [[Group([1], 3), Group([2], 1)]]


def test_bounds_keep_equal_prompts_apart():
    """A group has one bound; what is left of a conversation may differ from one to the next."""
    assert grouped([[1], [1], [1]], [4, 4, 3]) == [Group([1], 2, 4), Group([1], 1, 3)]
