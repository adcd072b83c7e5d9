"""What rows `SFTTrainer` takes, and what it learns from them."""

import math

import pytest
from transformers import AutoTokenizer

from sternpost.sft import contract

TOOL = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Evaluates an expression.",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}
CALL = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "6*7"}}}
QUESTION = {"role": "user", "content": "What is 6*7?"}
ANSWER = {"role": "assistant", "content": "6*7 is forty-two."}

CASES = {
    "text": ("text", {"text": "Six times seven is forty-two."}),
    "prompt_completion": ("prompt_completion", {"prompt": "What is 6*7?", "completion": " Forty-two."}),
    "prompt_completion of messages": ("prompt_completion", {"prompt": [QUESTION], "completion": [ANSWER]}),
    "messages": ("messages", {"messages": [QUESTION, ANSWER]}),
    "messages with a tool": (
        "messages",
        {
            "messages": [
                QUESTION,
                {"role": "assistant", "content": "", "tool_calls": [CALL]},
                {"role": "tool", "name": "calculator", "content": "42"},
                ANSWER,
            ],
            "tools": [TOOL],
        },
    ),
    "conversations with from and value": (
        "conversations",
        {"conversations": [{"from": "human", "value": "What is 6*7?"}, {"from": "gpt", "value": "Forty-two."}]},
    ),
    "conversations with role and content": ("conversations", {"conversations": [QUESTION, ANSWER]}),
    "tokenized": ("tokenized", {"input_ids": [5, 6, 7, 8, 9]}),
}
"""A row of every format of the contract, in every shape that it comes in."""


def one_batch(trainer):
    return next(iter(trainer.get_train_dataloader()))


def learned(trainer, model_path):
    """The text of a row, and the text of what is learned of it."""
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    batch = one_batch(trainer)
    ids, labels = batch["input_ids"][0], batch["labels"][0]
    return tokenizer.decode(ids), tokenizer.decode(labels[labels != -100])


@pytest.mark.parametrize("case", CASES)
def test_every_format_is_accepted(make_trainer, case):
    """S1. Rows of every format of the contract, with no other columns than it names, train with a finite loss."""
    row_format, row = CASES[case]
    assert set(row) - {"tools"} == set(contract.ROWS[row_format])
    trainer = make_trainer([row] * 3)
    assert math.isfinite(trainer.train().training_loss)


def test_no_format_is_left_out():
    """S1. The rows that these tests try are of all the formats that the contract names, and of no others."""
    assert {row_format for row_format, _ in CASES.values()} == set(contract.ROWS)


@pytest.mark.parametrize("row_format", contract.ROWS)
def test_missing_column_is_refused(make_trainer, row_format):
    """S2. A row that lacks a column of its format is refused by a ValueError that names the columns that are there."""
    row = next(row for known, row in CASES.values() if known == row_format)
    for column in contract.ROWS[row_format]:
        rest = {name: value for name, value in row.items() if name != column} | {"extra": "x"}
        with pytest.raises(ValueError, match="extra"):
            make_trainer([rest] * 3)


# ---- Columns that are read when they are there. Each function takes a trainer's maker and says what shows that it is.


def reads_tools(make_trainer, conversations, model_path, vision_model):
    text, _ = learned(make_trainer([row | {"tools": [TOOL]} for row in conversations]), model_path)
    assert "calculator" in text


def reads_chat_template_kwargs(make_trainer, conversations, model_path, vision_model):
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    tokenizer.chat_template = "{{ mood }}" + tokenizer.chat_template
    rows = [row | {"chat_template_kwargs": {"mood": "calm"}} for row in conversations]
    text, _ = learned(make_trainer(rows, processing_class=tokenizer), model_path)
    assert text.startswith("calm")


def reads_labels(make_trainer, conversations, model_path, vision_model):
    batch = one_batch(make_trainer([{"input_ids": [5, 6, 7, 8], "labels": [-100, -100, 7, 9]}] * 3, padding_free=False))
    assert batch["labels"].tolist() == [[-100, -100, 7, 9]] * 3


def reads_completion_mask(make_trainer, conversations, model_path, vision_model):
    row = {"input_ids": [5, 6, 7, 8], "completion_mask": [0, 0, 1, 1]}
    assert one_batch(make_trainer([row] * 3, padding_free=False))["labels"].tolist() == [[-100, -100, 7, 8]] * 3


def reads_assistant_masks(make_trainer, conversations, model_path, vision_model):
    row = {"input_ids": [5, 6, 7, 8], "assistant_masks": [0, 1, 0, 1]}
    assert one_batch(make_trainer([row] * 3, padding_free=False))["labels"].tolist() == [[-100, 6, -100, 8]] * 3


def reads_seq_lengths(make_trainer, conversations, model_path, vision_model):
    batch = one_batch(make_trainer([{"input_ids": [5, 6, 7, 8, 9], "seq_lengths": [2, 3]}] * 3))
    assert batch["seq_lengths"] == [2, 3, 2, 3, 2, 3]


def reads_pictures(column, value):
    def reads(make_trainer, conversations, model_path, vision_model):
        model, processor = vision_model()
        rows = [row | {column: value()} for row in conversations]
        trainer = make_trainer(rows, model=model, processing_class=processor, max_length=None)
        assert one_batch(trainer)["pixel_values"].shape[0] == 3
        assert math.isfinite(trainer.train().training_loss)

    return reads


def picture():
    return pytest.importorskip("PIL.Image").new("RGB", (16, 16), "navy")


READERS = {
    "tools": reads_tools,
    "chat_template_kwargs": reads_chat_template_kwargs,
    "images": reads_pictures("images", lambda: [picture()]),
    "image": reads_pictures("image", picture),
    "labels": reads_labels,
    "completion_mask": reads_completion_mask,
    "assistant_masks": reads_assistant_masks,
    "seq_lengths": reads_seq_lengths,
}


@pytest.mark.parametrize("column", READERS)
def test_optional_columns_are_read(make_trainer, conversations, model_path, vision_model, column):
    """S3. Each optional column of the contract is read when it is there."""
    assert column in contract.OPTIONAL_COLUMNS
    READERS[column](make_trainer, conversations, model_path, vision_model)


def test_no_optional_column_is_left_out():
    """S3. The columns that these tests try are all that the contract names."""
    assert set(READERS) == set(contract.OPTIONAL_COLUMNS)


def test_completions_are_learned_and_prompts_are_not(make_trainer, model_path):
    """S4. Of a row with prompt and completion the completion is learned, and the end of the text after it."""
    end = AutoTokenizer.from_pretrained(model_path).eos_token
    for case in ("prompt_completion", "prompt_completion of messages"):
        text, target = learned(make_trainer([CASES[case][1]], per_device_train_batch_size=1), model_path)
        assert "What is 6*7?" in text
        assert "What" not in target
        assert target.strip().lower().rstrip(end).endswith("forty-two.")
        assert target.strip().endswith(end)


def test_completion_only_loss_false_learns_the_prompt_too(make_trainer, model_path):
    """S4. With `completion_only_loss=False` the prompt is learned as well."""
    row = CASES["prompt_completion"][1]
    trainer = make_trainer([row], per_device_train_batch_size=1, completion_only_loss=False, padding_free=False)
    text, target = learned(trainer, model_path)
    assert target == text


def test_whole_conversations_are_learned_unless_assistant_only(make_trainer, model_path):
    """S4. Of conversations and texts everything is learned; with `assistant_only_loss=True` what the assistant says."""
    row = CASES["messages"][1]
    text, target = learned(make_trainer([row], per_device_train_batch_size=1, padding_free=False), model_path)
    assert target == text
    trainer = make_trainer([row], per_device_train_batch_size=1, assistant_only_loss=True)
    _, target = learned(trainer, model_path)
    assert "What is" not in target
    assert "6*7 is forty-two." in target


def test_formatting_func_makes_the_text(make_trainer, model_path):
    """S5. `formatting_func` turns a row of any columns into the text that is learned."""
    trainer = make_trainer(
        [{"question": "6*7", "answer": "42"}] * 3, formatting_func=lambda row: f"{row['question']}={row['answer']}"
    )
    assert learned(trainer, model_path)[0].startswith("6*7=42")


def test_text_column_has_the_name_that_the_option_says(make_trainer, model_path):
    """S5. `dataset_text_field` names the column of the text."""
    text, _ = learned(make_trainer([{"body": "six times seven"}] * 3, dataset_text_field="body"), model_path)
    assert text.startswith("six times seven")


def test_streams_are_accepted(make_trainer, conversations):
    """S6. An `IterableDataset` trains as a `Dataset` does, and to the same loss."""
    from datasets import Dataset

    rows = Dataset.from_list(conversations[:3])
    loss = make_trainer(rows).train().training_loss
    assert make_trainer(rows.to_iterable_dataset()).train().training_loss == pytest.approx(loss, rel=1e-5)
