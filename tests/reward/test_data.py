"""Rows -> tokens -> batches: every format, what is dropped, what is refused."""

import re

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from sternpost import RewardConfig
from sternpost.reward.data import DataCollatorForPreference, prepare

from .. import tiny
from . import runs

PAD = 0
IDS = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def prepared(rows, tokenizer=None, stream=False, **options):
    dataset = Dataset.from_list(rows)
    args = RewardConfig("unused", **options)
    dataset = dataset.to_iterable_dataset() if stream else dataset
    return list(prepare(dataset, tokenizer or tiny.tokenizer(), args))


def decoded(rows):
    """Text of both sequences of each row."""
    tokenizer = tiny.tokenizer()
    return [tuple(tokenizer.decode(row[name]) for name in ("chosen_ids", "rejected_ids")) for row in rows]


def test_text_is_joined_and_ended():
    """Prompt and answer are one text, ended once, whether the row ends it or not."""
    rows = [{"prompt": "the ship", "chosen": " can steer", "rejected": " stands<|im_end|>"}]
    assert decoded(prepared(rows)) == [("the ship can steer<|im_end|>", "the ship stands<|im_end|>")]
    whole = [{"chosen": "the ship can steer", "rejected": "the ship stands"}]
    assert prepared(whole) == prepared(rows)


def test_conversations_are_rendered_whole():
    """What the chat template says of the prompt with its answer, which ends as the template ends it."""
    rows = runs.as_chats([{"prompt": "one", "chosen": "two", "rejected": "three"}])
    (pair,) = prepared(rows)
    expected = tiny.tokenizer().apply_chat_template(rows[0]["prompt"] + rows[0]["chosen"], return_dict=False)
    assert pair["chosen_ids"] == expected
    implicit = [{side: rows[0]["prompt"] + rows[0][side] for side in ("chosen", "rejected")}]
    assert prepared(implicit) == [pair]


def test_conversations_need_not_share_a_prompt():
    """Rewards compare whole conversations: their beginnings may differ."""
    rows = [{side: runs.as_chats([{"prompt": side, "chosen": "so"}])[0] for side in ("chosen", "rejected")}]
    rows = [{side: [*row[side]["prompt"], *row[side]["chosen"]] for side in row} for row in rows]
    ((chosen, rejected),) = decoded(prepared(rows))
    assert "chosen<|im_end|>" in chosen
    assert "rejected<|im_end|>" in rejected


def test_tools_and_template_options_reach_the_template():
    """As columns of the row."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{{ tools[0]['name'] }}{{ mood }}" + tokenizer.chat_template
    rows = runs.as_chats(runs.pairs(1))
    rows = [row | {"tools": [{"name": "wheel"}], "chat_template_kwargs": {"mood": "calm"}} for row in rows]
    assert all(text.startswith("wheelcalm") for text in decoded(prepared(rows, tokenizer))[0])


def test_streams_are_data_sets():
    """A stream gives the rows that a data set in memory gives, margins included."""
    rows = runs.with_margins(runs.pairs(9))
    assert prepared(rows, stream=True) == prepared(rows)
    assert [row["margin"] for row in prepared(rows)] == [row["margin"] for row in rows]


def test_tokenised_rows_pass():
    """Rows of `chosen_ids` and `rejected_ids` are taken as they are."""
    rows = [{"chosen_ids": [5, 6, 7], "rejected_ids": [5, 8]}]
    assert prepared(rows) == rows


def test_useless_pairs_are_dropped_and_counted(caplog):
    """Pairs with equal answers, without a token and longer than `max_length`: dropped whole, not cut."""
    rows = [
        {"chosen_ids": [1, 2, 3], "rejected_ids": [1, 2, 4]},
        {"chosen_ids": [1, 2], "rejected_ids": [1, 2]},
        {"chosen_ids": [1, 2, 3, 4], "rejected_ids": [1, 2]},
        {"chosen_ids": [1, 2], "rejected_ids": [1, 2, 3, 4]},
        {"chosen_ids": [1, 2], "rejected_ids": []},
    ]
    assert prepared(rows, max_length=3) == rows[:1]
    counts = "2 longer than `max_length`; 1 whose answers are equal; 1 without a token"
    assert f"dropped 4 of 5 rows ({counts})" in caplog.text
    assert len(prepared(rows, max_length=None)) == 3


def test_one_sequence_may_begin_the_other():
    """An answer that the other one continues is an answer."""
    rows = [{"chosen_ids": [1, 2, 3], "rejected_ids": [1, 2]}]
    batch = DataCollatorForPreference(PAD, padding_free=True)(prepared(rows))
    assert batch["seq_lengths"] == [(2, 1, 0)]


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ({"question": "a", "answer": "b"}, ValueError, "needs `chosen` and `rejected`"),
        ({"prompt": "a", "chosen": "b"}, ValueError, "needs `chosen` and `rejected`"),
        ({"chosen": "a", "rejected": None}, TypeError, "train row 0, column `rejected`: expected text, got None"),
        ({"chosen": 3, "rejected": 4}, TypeError, "train row 0, column `chosen`: expected text, got 3"),
        (
            {"prompt": "a", "chosen": [{"role": "assistant", "content": "b"}], "rejected": None},
            ValueError,
            "column `prompt`: expected messages as in `chosen`",
        ),
        ({"chosen": [], "rejected": [{"role": "user", "content": "b"}]}, ValueError, "column `chosen`"),
        ({"chosen": "a", "rejected": "b", "margin": None}, TypeError, "column `margin`: expected a number, got None"),
        ({"chosen": "a", "rejected": "b", "margin": "much"}, TypeError, "column `margin`: expected a number"),
        ({"chosen": "a", "rejected": "b", "margin": float("inf")}, ValueError, "column `margin`: expected a finite"),
        ({"chosen_ids": [1, 9999], "rejected_ids": [1]}, ValueError, "position 1 holds 9999"),
        ({"chosen_ids": [1, -1], "rejected_ids": [1]}, ValueError, "position 1 holds -1"),
        ({"chosen": "a", "rejected": "a"}, ValueError, "no row of the train data set is of use: 1 whose answers are"),
        ({"chosen": "a", "rejected": "b", "image": "pixels"}, ValueError, "Pass a processor"),
    ],
    ids=lambda value: re.sub(r"\W+", "-", str(value))[:40] if isinstance(value, str | dict) else "",
)
def test_malformed_rows_are_refused(row, error, message):
    """The message names split, row, column and value."""
    with pytest.raises(error, match=re.escape(message)):
        prepared([row])


def test_streams_say_once_that_rows_are_dropped(caplog):
    """How many there will be is not known while they stream."""
    rows = [{"chosen_ids": [1, 2], "rejected_ids": [1, 3]}, {"chosen_ids": [1], "rejected_ids": [1]}] * 3
    assert len(prepared(rows, stream=True)) == 3
    assert caplog.text.count("dropped") == 2  # `dropped 3 of ..., later ones are dropped silently`


@given(rows=st.lists(st.tuples(IDS, IDS), min_size=1, max_size=5), multiple=st.none() | st.integers(1, 7))
def test_both_layouts_hold_the_same_sequences(rows, multiple):
    """Padded or with what is shared once, and whatever filler there is, the sequences can be read off the batch."""
    examples = [{"chosen_ids": chosen, "rejected_ids": rejected} for chosen, rejected in rows]
    padded = DataCollatorForPreference(PAD, multiple)(examples)
    shared = DataCollatorForPreference(PAD, multiple, padding_free=True)(examples)
    expected = [chosen for chosen, _ in rows] + [rejected for _, rejected in rows]
    lengths = padded["attention_mask"].sum(1).tolist()
    assert [row[:length] for row, length in zip(padded["input_ids"].tolist(), lengths, strict=True)] == expected
    ids, start, chosen_ones, rejected_ones = shared["input_ids"][0].tolist(), 0, [], []
    for row in shared["seq_lengths"][: len(rows)]:
        common, *own = row
        cuts = [start + common, start + common + own[0], start + sum(row)]
        chosen_ones.append(ids[start : cuts[1]])
        rejected_ones.append(ids[start : cuts[0]] + ids[cuts[1] : cuts[2]])
        start = cuts[2]
    assert chosen_ones + rejected_ones == expected
    assert shared["position_ids"].shape == shared["input_ids"].shape
    for batch in (padded, shared):
        assert multiple is None or batch["input_ids"].size(1) % multiple == 0


def test_margins_are_part_of_a_batch():
    """One number per pair, in the order of the pairs."""
    examples = [{"chosen_ids": [1, 2], "rejected_ids": [1], "margin": value} for value in (0.5, -2.0)]
    for free in (True, False):
        batch = DataCollatorForPreference(PAD, padding_free=free)(examples)
        torch.testing.assert_close(batch["margin"], torch.tensor([0.5, -2.0]))
    assert "margin" not in DataCollatorForPreference(PAD)([{"chosen_ids": [1], "rejected_ids": [2]}])
