"""The batches of pairs that `compute_loss`, a collator's subclass and a callback see."""

import pytest
import torch

from sternpost.dpo import DataCollatorForPreference, contract

OPTIONS = {"padded": {"padding_free": False}, "shared": {"padding_free": True}}
"""What makes the trainer lay out its batches so."""
PAIRS = 3
ROWS = [
    {"prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6]},
    {"prompt_ids": [7], "chosen_ids": [8], "rejected_ids": [9, 10]},
]


def assert_matches(batch, promised):
    """The keys are those promised, and every value has the shape that is written for its key."""
    assert set(batch) == set(promised)
    sizes = {"2P": 2 * PAIRS, "S": batch["input_ids"].shape[-1], "1": 1}
    for key, shape in promised.items():
        if shape.startswith("list of P tuples"):
            assert [[type(length) for length in row] for row in batch[key]] == [[int] * 3] * PAIRS
        else:
            assert tuple(batch[key].shape) == tuple(sizes[letter] for letter in shape.split())
            assert batch[key].dtype == torch.int64


@pytest.mark.parametrize("layout", OPTIONS)
def test_keys_and_shapes(make_dpo_trainer, pairs, layout):
    """D7. A batch of either layout has the keys and the shapes that the contract writes down, and no others, in
    training and in evaluation."""
    options = {"per_device_train_batch_size": PAIRS, "per_device_eval_batch_size": PAIRS, **OPTIONS[layout]}
    trainer = make_dpo_trainer(pairs, pairs, **options)
    assert_matches(next(iter(trainer.get_train_dataloader())), contract.BATCH[layout])
    assert_matches(next(iter(trainer.get_eval_dataloader())), contract.BATCH[layout])


def test_no_layout_is_left_out():
    """D7. The layouts that these tests try are all that the contract names."""
    assert set(OPTIONS) == set(contract.BATCH)


def test_prompts_are_shared_by_default(make_dpo_trainer, pairs):
    """D7. By default a model that can has the shared layout."""
    batch = next(iter(make_dpo_trainer(pairs).get_train_dataloader()))
    assert set(batch) == set(contract.BATCH["shared"])


@pytest.mark.parametrize("layout", OPTIONS)
def test_values_of_the_reference(make_dpo_trainer, pairs, layout):
    """D7. Precomputed, the reference's log-probabilities are two vectors of the batch, in either layout."""
    trainer = make_dpo_trainer(pairs[:4], precompute_ref_log_probs=True, **OPTIONS[layout])
    batch = dict(next(iter(trainer.get_train_dataloader())))
    for name in ("ref_chosen_logps", "ref_rejected_logps"):
        assert batch.pop(name).shape == (PAIRS,)
    assert_matches(batch, contract.BATCH[layout])


def test_padded_values():
    """D8. The chosen answers, then the rejected ones, each behind its prompt; padding on the right, attention 0."""
    batch = DataCollatorForPreference(pad_token_id=0)(ROWS)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5], [7, 8, 0, 0, 0], [1, 2, 6, 0, 0], [7, 9, 10, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    assert batch["completion_mask"].tolist() == [[0, 0, 1, 1, 1], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 0, 0]]


def test_shared_values():
    """D8. Each prompt once, then both answers, whose positions go on from it; `seq_lengths` says how long they are."""
    batch = DataCollatorForPreference(pad_token_id=0, padding_free=True)(ROWS)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 0, 1, 1, 2]]
    assert batch["completion_mask"].tolist() == [[0, 0, 1, 1, 1, 1, 0, 1, 1, 1]]
    assert batch["seq_lengths"] == [(2, 3, 1), (1, 1, 2)]


def test_truncated_values():
    """D9. `keep_start` keeps the beginning of an answer; with `keep_end` each answer keeps the end of its prompt."""
    rows = [{"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6]}]
    kept = {
        mode: DataCollatorForPreference(pad_token_id=0, max_length=4, truncation_mode=mode)(rows)["input_ids"].tolist()
        for mode in ("keep_start", "keep_end")
    }
    assert kept == {"keep_start": [[1, 2, 3, 4], [1, 2, 3, 6]], "keep_end": [[2, 3, 4, 5], [1, 2, 3, 6]]}


def test_multiple_of(make_dpo_trainer, pairs):
    """D10. `pad_to_multiple_of` fills a batch up to a multiple of so many tokens, in either layout."""
    for options in OPTIONS.values():
        batch = next(iter(make_dpo_trainer(pairs, pad_to_multiple_of=32, **options).get_train_dataloader()))
        assert batch["input_ids"].shape[1] % 32 == batch["completion_mask"].shape[1] % 32 == 0
