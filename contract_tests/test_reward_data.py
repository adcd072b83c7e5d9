"""What rows `RewardTrainer` takes, what it makes of them, and which it drops."""

import logging
import math

import pytest
import torch
from transformers import AutoTokenizer

from sternpost.reward import DataCollatorForPreference, contract

ASK = {"role": "user", "content": "What is 6*7?"}
GOOD, BAD = {"role": "assistant", "content": "forty-two"}, {"role": "assistant", "content": "forty-one, or so"}
CASES = {
    "text": ("preference", {"prompt": "What is 6*7?", "chosen": " Forty-two.", "rejected": " No idea."}),
    "messages": ("preference", {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]}),
    "implicit text": ("preference_implicit", {"chosen": "6*7 is forty-two.", "rejected": "6*7 is one."}),
    "implicit messages": ("preference_implicit", {"chosen": [ASK, GOOD], "rejected": [ASK, BAD]}),
    "tokens": ("tokenized", {"chosen_ids": [5, 7, 8], "rejected_ids": [5, 9]}),
}
"""A row of every format of the contract, in every shape that it comes in."""
OPTIONS = {"padded": {"padding_free": False}, "shared": {"padding_free": True}}
PAIRS = 3
TOKENS = [{"chosen_ids": [1, 2, 3, 4], "rejected_ids": [1, 2, 5]}, {"chosen_ids": [6], "rejected_ids": [7, 8]}]


@pytest.mark.parametrize("case", CASES)
def test_every_format_is_accepted(make_reward_trainer, case):
    """R1. Rows of every format of the contract, with no other columns than it names, train with a finite loss."""
    row_format, row = CASES[case]
    assert set(row) == set(contract.ROWS[row_format])
    assert math.isfinite(make_reward_trainer([row] * 3).train().training_loss)


def test_no_format_is_left_out():
    """R1. The rows that these tests try are of all the formats that the contract names, and of no others."""
    assert {row_format for row_format, _ in CASES.values()} == set(contract.ROWS)


@pytest.mark.parametrize("column", ["chosen", "rejected"])
def test_missing_column_is_refused(make_reward_trainer, column):
    """R2. Rows without one of the answers are refused by a ValueError that names the columns that are there."""
    rest = {name: value for name, value in CASES["text"][1].items() if name != column} | {"extra": "x"}
    with pytest.raises(ValueError, match="extra"):
        make_reward_trainer([rest] * 3)


def test_margin_is_taken_off(make_reward_trainer, pairs):
    """R3. A column `margin` is taken off the difference of the rewards, so that a larger one means a larger loss."""
    losses = [
        make_reward_trainer([row | {"margin": margin} for row in pairs[:3]]).train().training_loss
        for margin in (0.0, 2.0)
    ]
    assert losses[1] > losses[0] + 1


def test_tools_and_template_arguments_are_shown(make_reward_trainer, model_path):
    """R3. `tools` and `chat_template_kwargs` reach the chat template."""
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    tokenizer.chat_template = "{{ mood }}" + tokenizer.chat_template
    tool = {"type": "function", "function": {"name": "calculator", "description": "Evaluates.", "parameters": {}}}
    row = CASES["messages"][1] | {"tools": [tool], "chat_template_kwargs": {"mood": "calm"}}
    trainer = make_reward_trainer([row] * 3, processing_class=tokenizer, padding_free=False)
    text = tokenizer.decode(next(iter(trainer.get_train_dataloader()))["input_ids"][0])
    assert text.startswith("calm")
    assert "calculator" in text


def test_dropped_pairs_are_counted(make_reward_trainer, pairs, caplog):
    """R4. Pairs that are equal or longer than `max_length` are dropped and counted in one line; none is cut."""
    equal = {"prompt": "a", "chosen": "b", "rejected": "b"}
    long = {"prompt": "a " * 300, "chosen": "b", "rejected": "c"}
    with caplog.at_level(logging.WARNING):
        trainer = make_reward_trainer([equal, long, CASES["text"][1]], max_length=100)
    assert len(trainer.train_dataset) == 1
    assert [record.getMessage() for record in caplog.records if "dropped 2 of 3 rows" in record.getMessage()]


@pytest.mark.parametrize("layout", OPTIONS)
def test_keys_and_shapes(make_reward_trainer, pairs, layout):
    """R5. A batch of either layout has the keys and the shapes that the contract writes down, and no others but
    `margin`; by default beginnings are shared."""
    batch = next(iter(make_reward_trainer(pairs, **OPTIONS[layout]).get_train_dataloader()))
    promised = contract.BATCH[layout]
    assert set(batch) == set(promised)
    sizes = {"2P": 2 * PAIRS, "S": batch["input_ids"].shape[-1], "1": 1}
    for key, shape in promised.items():
        if shape.startswith("list of P tuples"):
            assert [[type(length) for length in row] for row in batch[key]] == [[int] * 3] * PAIRS
        else:
            assert tuple(batch[key].shape) == tuple(sizes[letter] for letter in shape.split())
            assert batch[key].dtype == torch.int64


def test_margins_and_default_layout(make_reward_trainer, pairs):
    """R5. With a column `margin` a batch holds it, one number per pair; by default beginnings are shared."""
    batch = next(iter(make_reward_trainer([row | {"margin": 1} for row in pairs]).get_train_dataloader()))
    assert set(batch) == {*contract.BATCH["shared"], "margin"}
    assert batch["margin"].tolist() == [1.0] * PAIRS


def test_values():
    """R6. Padded: the chosen sequences, then the rejected ones, padding on the right. Shared: what both begin with,
    then the rest of each, whose positions go on from it."""
    padded = DataCollatorForPreference(pad_token_id=0)(TOKENS)
    assert padded["input_ids"].tolist() == [[1, 2, 3, 4], [6, 0, 0, 0], [1, 2, 5, 0], [7, 8, 0, 0]]
    assert padded["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0]]
    shared = DataCollatorForPreference(pad_token_id=0, padding_free=True)(TOKENS)
    assert shared["input_ids"].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]
    assert shared["position_ids"].tolist() == [[0, 1, 2, 3, 2, 0, 0, 1]]
    assert shared["seq_lengths"] == [(2, 2, 1), (0, 1, 2)]
