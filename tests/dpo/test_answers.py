"""Scores of tokens -> sums per answer, in both layouts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sternpost.data.batches import IGNORE
from sternpost.dpo.answers import Answers, first_places
from sternpost.dpo.data import TOKENS, DataCollatorForPreference

ROWS = [
    {"prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6]},
    {"prompt_ids": [], "chosen_ids": [8, 9], "rejected_ids": [10, 11]},
]


def test_labels_and_numbers_of_a_shared_batch():
    """Answers are numbered, chosen ones first; what nothing predicts has no label, prompts and filler neither."""
    batch = DataCollatorForPreference(pad_token_id=0, padding_free=True, pad_to_multiple_of=16)(ROWS)
    answers = Answers.of(batch)
    assert answers.count == 4
    assert answers.labels.tolist() == [[IGNORE, IGNORE, 3, 4, 5, 6, IGNORE, 9, IGNORE, 11, *[IGNORE] * 6]]
    assert answers.numbers.tolist() == [[4, 0, 0, 0, 2, 4, 1, 4, 3, *[4] * 6]]
    assert answers.tokens.tolist() == [3, 1, 1, 1]


def test_labels_and_numbers_of_a_padded_batch():
    """A row is an answer."""
    answers = Answers.of(DataCollatorForPreference(pad_token_id=0)(ROWS[:1]))
    assert answers.labels.tolist() == [[IGNORE, IGNORE, 3, 4, 5], [IGNORE, IGNORE, 6, IGNORE, IGNORE]]
    assert answers.numbers.tolist() == [[2, 0, 0, 0], [2, 1, 2, 2]]


@pytest.mark.parametrize(
    ("lengths", "places"),
    [([3, 2], [0, 3]), ([(2, 3, 1), (1, 1, 1)], [0, 6]), ([(0, 2, 3), 4], [0, 0, 2, 5]), ([(0, 0, 2)], [0, 0, 0])],
)
def test_first_places(lengths, places):
    """Each row begins once; without a shared part, each of its branches does."""
    assert first_places(lengths) == places


IDS = st.lists(st.integers(3, 9), min_size=1, max_size=6)


@given(
    rows=st.lists(st.tuples(st.lists(st.integers(3, 9), max_size=4), IDS, IDS), min_size=1, max_size=4),
    alpha=st.sampled_from([None, 0.0, 0.5, 1.0]),
    mode=st.sampled_from(["keep_start", "keep_end"]),
)
def test_sums_are_those_of_each_answer(rows, alpha, mode):
    """Every value of a token counts for its own answer; beyond the shorter one of its pair it counts `alpha`."""
    examples = [dict(zip(TOKENS, row, strict=True)) for row in rows]
    for padding_free in (False, True):
        collator = DataCollatorForPreference(0, 8, mode, padding_free=padding_free, pad_to_multiple_of=4)
        batch = collator(examples)
        answers = Answers.of(batch, alpha)
        values = batch["input_ids"].float()[:, 1:]  # of a token, its id
        expected, lengths = [], []
        for row in rows:
            said = [whole[len(prompt) :] for prompt, whole in cuts(row, mode)]
            said = [ids if prompt else ids[1:] for ids, (prompt, _) in zip(said, cuts(row, mode), strict=True)]
            common = min(map(len, said))
            weight = 1.0 if alpha is None else alpha
            expected.append([sum(ids[:common]) + weight * sum(ids[common:]) for ids in said])
            lengths.append([len(ids) for ids in said])
        assert answers.tokens.tolist() == torch.tensor(lengths).T.flatten().tolist()
        assert answers.weighted(values).tolist() == pytest.approx(torch.tensor(expected).T.flatten().tolist())


def cuts(row, mode: str) -> list[tuple[list[int], list[int]]]:
    """Of both answers what is left of the prompt, and of prompt and answer, within 8 tokens."""
    prompt, *answers = row
    if mode == "keep_start":
        return [(prompt[:8], (prompt + answer)[:8]) for answer in answers]
    return [((prompt + answer)[-8:][: -len(answer)], (prompt + answer)[-8:]) for answer in answers]
