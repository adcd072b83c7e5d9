"""What rows `DPOTrainer` takes, what it compares of them, and which it drops."""

import logging
import math

import pytest
from transformers import AutoTokenizer

from sternpost.dpo import contract

TOOL = {
    "type": "function",
    "function": {"name": "calculator", "description": "Evaluates.", "parameters": {"type": "object", "properties": {}}},
}
ASK = {"role": "user", "content": "What is 6*7?"}
GOOD, BAD = {"role": "assistant", "content": "forty-two"}, {"role": "assistant", "content": "forty-one, or so"}

CASES = {
    "text": ("preference", {"prompt": "What is 6*7?", "chosen": " Forty-two.", "rejected": " No idea."}),
    "messages": ("preference", {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]}),
    "implicit text": ("preference_implicit", {"chosen": "6*7 is forty-two.", "rejected": "6*7 is one."}),
    "implicit messages": ("preference_implicit", {"chosen": [ASK, GOOD], "rejected": [ASK, BAD]}),
    "tokens": ("tokenized", {"prompt_ids": [5, 6], "chosen_ids": [7, 8], "rejected_ids": [9]}),
}
"""A row of every format of the contract, in every shape that it comes in."""


def one_batch(trainer):
    return next(iter(trainer.get_train_dataloader()))


def read(trainer, model_path):
    """The texts of the first prompt, its chosen and its rejected answer."""
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    batch = one_batch(trainer)
    count = len(batch["input_ids"]) // 2
    whole = tokenizer.decode(batch["input_ids"][0])
    chosen, rejected = (
        tokenizer.decode(batch["input_ids"][at][batch["completion_mask"][at] == 1]) for at in (0, count)
    )
    return whole[: whole.index(chosen)], chosen, rejected


@pytest.mark.parametrize("case", CASES)
def test_every_format_is_accepted(make_dpo_trainer, case):
    """D1. Rows of every format of the contract, with no other columns than it names, train with a finite loss."""
    row_format, row = CASES[case]
    assert set(row) == set(contract.ROWS[row_format])
    assert math.isfinite(make_dpo_trainer([row] * 3).train().training_loss)


def test_no_format_is_left_out():
    """D1. The rows that these tests try are of all the formats that the contract names, and of no others."""
    assert {row_format for row_format, _ in CASES.values()} == set(contract.ROWS)


@pytest.mark.parametrize("column", ["chosen", "rejected"])
def test_missing_column_is_refused(make_dpo_trainer, column):
    """D2. Rows without one of the answers are refused by a ValueError that names the columns that are there."""
    for case in ("text", "implicit messages"):
        rest = {name: value for name, value in CASES[case][1].items() if name != column} | {"extra": "x"}
        with pytest.raises(ValueError, match="extra"):
            make_dpo_trainer([rest] * 3)


# ---- Columns that are read when they are there. Each function says what shows that it is.


def reads_tools(make_dpo_trainer, model_path, vision_model):
    row = CASES["messages"][1] | {"tools": [TOOL]}
    assert "calculator" in read(make_dpo_trainer([row] * 3, padding_free=False), model_path)[0]


def reads_chat_template_kwargs(make_dpo_trainer, model_path, vision_model):
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    tokenizer.chat_template = "{{ mood }}" + tokenizer.chat_template
    row = CASES["messages"][1] | {"chat_template_kwargs": {"mood": "calm"}}
    trainer = make_dpo_trainer([row] * 3, processing_class=tokenizer, padding_free=False)
    assert read(trainer, model_path)[0].startswith("calm")


def reads_pictures(column, value):
    def reads(make_dpo_trainer, model_path, vision_model):
        model, processor = vision_model()
        rows = [CASES["messages"][1] | {column: value()}] * 3
        trainer = make_dpo_trainer(rows, model=model, processing_class=processor, max_length=None)
        assert one_batch(trainer)["pixel_values"].shape[0] == 6
        assert math.isfinite(trainer.train().training_loss)

    return reads


def reads_reference_values(make_dpo_trainer, model_path, vision_model):
    row = CASES["text"][1] | {"ref_chosen_logps": -10.0, "ref_rejected_logps": -20.0}
    trainer = make_dpo_trainer([row] * 3, precompute_ref_log_probs=True, beta=1.0)
    trainer.train()
    line = trainer.state.log_history[0]
    assert line["rewards/chosen"] == pytest.approx(line["logps/chosen"] + 10, rel=1e-4)
    assert line["rewards/rejected"] == pytest.approx(line["logps/rejected"] + 20, rel=1e-4)


def picture():
    return pytest.importorskip("PIL.Image").new("RGB", (16, 16), "navy")


READERS = {
    "tools": reads_tools,
    "chat_template_kwargs": reads_chat_template_kwargs,
    "images": reads_pictures("images", lambda: [picture()]),
    "image": reads_pictures("image", picture),
    "ref_chosen_logps": reads_reference_values,
    "ref_rejected_logps": reads_reference_values,
}


@pytest.mark.parametrize("column", READERS)
def test_optional_columns_are_read(make_dpo_trainer, model_path, vision_model, column):
    """D3. Each optional column of the contract is read when it is there."""
    assert column in contract.OPTIONAL_COLUMNS
    READERS[column](make_dpo_trainer, model_path, vision_model)


def test_no_optional_column_is_left_out():
    """D3. The columns that these tests try are all that the contract names."""
    assert set(READERS) == set(contract.OPTIONAL_COLUMNS)


@pytest.mark.parametrize("case", ["text", "messages", "implicit text", "implicit messages"])
def test_answers_are_compared_and_prompts_are_not(make_dpo_trainer, model_path, case):
    """D4. `completion_mask` marks the answers, and the end of a text after each, and nothing of the prompt."""
    end = AutoTokenizer.from_pretrained(model_path).eos_token
    prompt, chosen, rejected = read(make_dpo_trainer([CASES[case][1]] * 3, padding_free=False), model_path)
    assert "6*7" in prompt
    assert "forty-two" in chosen.lower()
    assert "forty-two" not in rejected.lower()
    for answer in (chosen, rejected):
        assert "6*7" not in answer
        assert answer.strip().count(end) == 1
        assert answer.strip().endswith(end)


def test_pairs_without_a_use_are_dropped_and_counted(make_dpo_trainer, caplog):
    """D5. Pairs whose answers are equal and those whose prompt fills `max_length` are dropped, and one line counts
    them."""
    row = CASES["text"][1]
    rows = [row, row | {"rejected": row["chosen"]}, row | {"prompt": "six " * 200}, row]
    with caplog.at_level(logging.WARNING, "sternpost"):
        assert len(make_dpo_trainer(rows, max_length=60).train_dataset) == 2
    (line,) = [message for message in caplog.messages if "dropped" in message]
    assert "2 of 4" in line


def test_long_pairs_are_cut(make_dpo_trainer):
    """D5. Pairs that are longer are cut at `max_length`, not dropped."""
    rows = [{"prompt": "one two", "chosen": " yes" + " on" * 90, "rejected": " no" + " on" * 90}] * 3
    batch = one_batch(make_dpo_trainer(rows, max_length=32, padding_free=False))
    assert batch["input_ids"].shape == (6, 32)


def test_streams_are_accepted(make_dpo_trainer, pairs):
    """D6. An `IterableDataset` trains as a `Dataset` does, and to the same losses."""
    from datasets import Dataset

    rows = Dataset.from_list(pairs[:3])
    options = {"num_train_epochs": 2, "max_steps": 2, "learning_rate": 1e-3}
    loss = make_dpo_trainer(rows, **options).train().training_loss
    assert make_dpo_trainer(rows.to_iterable_dataset(), **options).train().training_loss == pytest.approx(
        loss, rel=1e-5
    )
