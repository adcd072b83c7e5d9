"""What a user's roll-out function returns is checked, entry by entry, before it is trained on."""

import pytest
import torch

from sternpost.generation.rollout_func import from_rollout_func


def result(**changes):
    good = {"prompt_ids": [[1, 2], [3]], "completion_ids": [[4, 5, 6], [7]], "logprobs": [[-1.0, -2.0, -3.0], [-4.0]]}
    return good | changes


def test_trajectories():
    """All tokens are drawn, unless a mask says otherwise; other entries are for reward functions."""
    extra = result(env_mask=[[1, 0, 1], [1]], score=[0.5, 0.25], nothing=None)
    first, second = from_rollout_func(extra, 2, frozenset({6}))
    assert (first.prompt, first.ids, first.logps, first.drawn) == ([1, 2], [4, 5, 6], [-1, -2, -3], [True, False, True])
    assert (first.finished, second.finished) == (True, False)
    assert (first.fields, second.fields) == ({"score": 0.5}, {"score": 0.25})
    assert [each.drawn for each in from_rollout_func(result(), 2)] == [[True] * 3, [True]]


def test_log_probabilities_may_be_unknown():
    """Of all completions, or of one."""
    assert [each.logps for each in from_rollout_func(result(logprobs=None), 2)] == [None, None]
    assert [each.logps for each in from_rollout_func(result(logprobs=[None, [-4.0]]), 2)] == [None, [-4.0]]


def test_tensors_and_tuples_are_taken():
    """As functions return them."""
    found = from_rollout_func(
        {"prompt_ids": torch.tensor([[1, 2]]), "completion_ids": (torch.tensor([3, 4]),), "logprobs": [(-1, -2)]}, 1
    )
    assert (found[0].prompt, found[0].ids, found[0].logps) == ([1, 2], [3, 4], [-1.0, -2.0])


@pytest.mark.parametrize(
    ("wrong", "kind", "error"),
    [
        ([1], TypeError, "returned a list. Return a mapping"),
        ({}, ValueError, "nothing without prompt_ids, completion_ids, logprobs"),
        ({"prompt_ids": [[1]]}, ValueError, "prompt_ids without completion_ids, logprobs"),
        (result(completion_ids=[[4]]), ValueError, "1 entries as `completion_ids` for 2 prompts"),
        (result(score=[1]), ValueError, "1 entries as `score` for 2 prompts"),
        (result(score="high"), TypeError, "a str as `score`"),
        (result(prompt_ids=None), TypeError, "None as `prompt_ids`"),
        (result(completion_ids=[[4, 5, 6], []]), ValueError, "no tokens as `completion_ids` of prompt 1"),
        (result(completion_ids=[[4, 5, 6], "7"]), TypeError, "'7' as `completion_ids` of prompt 1"),
        (result(completion_ids=[[4, 5, 6.5], [7]]), TypeError, "`completion_ids` of prompt 0"),
        (result(logprobs=[[-1.0], [-4.0]]), ValueError, "1 values as `logprobs` of prompt 0.*3 tokens"),
        (result(logprobs=[[[-1.0]] * 3, [-4.0]]), TypeError, "as `logprobs` of prompt 0. Return a list of numbers"),
        (result(env_mask=[[1, 1, 1], [2]]), ValueError, "`env_mask` for prompt 1 with other values"),
        (result(env_mask=[[1, 1], [1]]), ValueError, "2 values as `env_mask` of prompt 0"),
    ],
)
def test_what_is_wrong_is_named(wrong, kind, error):
    """With the key and the prompt."""
    with pytest.raises(kind, match=error):
        from_rollout_func(wrong, 2)
