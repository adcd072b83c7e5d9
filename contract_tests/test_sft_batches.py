"""The batches that `compute_loss`, a collator's subclass and a callback see."""

import pytest
import torch

from sternpost.sft import DataCollatorForLanguageModeling, contract

OPTIONS = {"padded": {"padding_free": False}, "padding_free": {"padding_free": True}}
"""What makes the trainer lay out its batches so."""
ROWS = 3


def assert_matches(batch, promised):
    """The keys are those promised, and every value has the shape that is written for its key."""
    assert set(batch) == set(promised)
    sizes = {"B": ROWS, "S": batch["input_ids"].shape[-1], "1": 1}
    for key, shape in promised.items():
        if shape == "list of B integers":
            assert [type(value) for value in batch[key]] == [int] * ROWS
        else:
            assert tuple(batch[key].shape) == tuple(sizes[letter] for letter in shape.split())
            assert batch[key].dtype == torch.int64


@pytest.mark.parametrize("layout", OPTIONS)
def test_keys_and_shapes(make_trainer, conversations, layout):
    """S7. A batch of either layout has the keys and the shapes that the contract writes down, and no others."""
    trainer = make_trainer(conversations, per_device_train_batch_size=ROWS, **OPTIONS[layout])
    assert_matches(next(iter(trainer.get_train_dataloader())), contract.BATCH[layout])


@pytest.mark.parametrize("layout", OPTIONS)
def test_keys_and_shapes_of_masked_rows(make_trainer, layout):
    """S7. Rows of which only a part is learned make batches of the same keys and shapes."""
    rows = [{"prompt": "one " * n, "completion": "two " * (9 - n)} for n in range(1, 8)]
    trainer = make_trainer(rows, per_device_train_batch_size=ROWS, **OPTIONS[layout])
    assert_matches(next(iter(trainer.get_train_dataloader())), contract.BATCH[layout])


def test_no_layout_is_left_out():
    """S7. The layouts that these tests try are all that the contract names."""
    assert set(OPTIONS) == set(contract.BATCH)


def test_evaluation_batches_are_laid_out_likewise(make_trainer, conversations):
    """S7. Evaluation batches have the keys and shapes of training batches."""
    for layout, options in OPTIONS.items():
        trainer = make_trainer(conversations, conversations, per_device_eval_batch_size=ROWS, **options)
        assert_matches(next(iter(trainer.get_eval_dataloader())), contract.BATCH[layout])


def test_padded_values():
    """S8. Padding stands on the right: attention 0, label -100, the tokenizer's padding token."""
    batch = DataCollatorForLanguageModeling(pad_token_id=9)([{"input_ids": [1, 2, 3]}, {"input_ids": [4, 5]}])
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 5, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["labels"].tolist() == [[1, 2, 3], [4, 5, -100]]


def test_padding_free_values():
    """S8. Rows laid end to end: positions start anew with each, `seq_lengths` says how long each is, and the first
    label of each is masked."""
    collator = DataCollatorForLanguageModeling(pad_token_id=9, padding_free=True)
    batch = collator([{"input_ids": [1, 2, 3]}, {"input_ids": [4, 5]}])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert batch["labels"].tolist() == [[-100, 2, 3, -100, 5]]
    assert batch["seq_lengths"] == [3, 2]


@pytest.mark.parametrize("strategy", ["bfd", "bfd_split"])
def test_packed_batches_are_laid_end_to_end(make_trainer, conversations, strategy):
    """S9. A packed batch has the padding-free layout, and `seq_lengths` counts every row that was packed into it."""
    trainer = make_trainer(conversations, packing=True, packing_strategy=strategy, max_length=128)
    batch = next(iter(trainer.get_train_dataloader()))
    assert set(batch) == set(contract.BATCH["padding_free"])
    assert sum(batch["seq_lengths"]) == batch["input_ids"].shape[1]
    assert len(batch["seq_lengths"]) > len(trainer.train_dataset)
    assert (batch["position_ids"][0] == 0).sum() == len(batch["seq_lengths"])


def test_multiple_of(make_trainer, conversations):
    """S10. `pad_to_multiple_of` fills a batch up to a multiple of so many tokens, in either layout."""
    for options in OPTIONS.values():
        trainer = make_trainer(conversations, pad_to_multiple_of=32, **options)
        batch = next(iter(trainer.get_train_dataloader()))
        assert batch["input_ids"].shape[1] % 32 == batch["labels"].shape[1] % 32 == 0
