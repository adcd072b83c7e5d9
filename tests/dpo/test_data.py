"""Pairs -> tokens -> batches: every format, every cut, both layouts, and a clear word for every malformed row."""

import json
import logging
import math

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from sternpost import DPOConfig
from sternpost.dpo.data import TOKENS, DataCollatorForPreference, prepare

from .. import tiny
from . import runs

ASK = {"role": "user", "content": "what stands still"}
GOOD, BAD = {"role": "assistant", "content": "the sternpost"}, {"role": "assistant", "content": "the ship"}
TOOL = {"type": "function", "function": {"name": "steer", "parameters": {}}}
ASKED = "<|im_start|>user\nwhat stands still<|im_end|>\n<|im_start|>assistant\n"
END = "<|im_end|>"
TEXT = {"prompt": "the", "chosen": " sternpost", "rejected": " ship"}
IDS = {"prompt_ids": [5, 6], "chosen_ids": [7], "rejected_ids": [8, 9]}


def prepared(rows, *, tokenizer=None, stream=False, name="train", **given):
    dataset = Dataset.from_list(rows) if isinstance(rows, list) else rows
    dataset = dataset.to_iterable_dataset() if stream else dataset
    return prepare(dataset, tokenizer or tiny.tokenizer(), DPOConfig("unused", report_to="none", **given), name)


def decoded(row) -> tuple[str, ...]:
    return tuple(tiny.tokenizer().decode(row[name]) for name in TOKENS)


# ---- Formats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (TEXT, ("the", " sternpost" + END, " ship" + END)),
        ({**TEXT, "prompt": ""}, ("", " sternpost" + END, " ship" + END)),
        ({**TEXT, "rejected": " ship" + END}, ("the", " sternpost" + END, " ship" + END)),
        ({**TEXT, "rejected": ""}, ("the", " sternpost" + END, END)),
        ({"chosen": "the rest", "rejected": "the ship"}, ("the", " rest" + END, " ship" + END)),
        ({"chosen": "rest", "rejected": "ship"}, ("", "rest" + END, "ship" + END)),
        ({"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]}, (ASKED, "the sternpost" + END, "the ship" + END)),
        ({"chosen": [ASK, GOOD], "rejected": [ASK, BAD]}, (ASKED, "the sternpost" + END, "the ship" + END)),
        ({"prompt": "x", "id": 7, **IDS}, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_formats(row, expected, stream):
    """Each format gives the tokens of prompt and answers, texts ended once; other columns go."""
    (made,) = prepared([row], stream=stream)
    assert set(made) == set(TOKENS)
    if expected is None:
        assert made == IDS
    else:
        texts = decoded(made)
        assert texts[0] == expected[0]
        assert tuple(text.removesuffix("\n") for text in texts[1:]) == expected[1:]


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL])])
def test_tools_and_template_options_reach_the_template(tools):
    """The columns `tools` and `chat_template_kwargs` of a row are seen by its template."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{{ tools[0].function.name if tools }}{{ mood }}" + tiny.CHAT_TEMPLATE
    rows = [{"chosen": [ASK, GOOD], "rejected": [ASK, BAD], "tools": tools, "chat_template_kwargs": {"mood": "calm"}}]
    (made,) = prepared(rows, tokenizer=tokenizer)
    assert decoded(made)[0] == "steercalm" + ASKED


def test_several_processes_prepare_what_one_does():
    """`dataset_num_proc` changes nothing but the time."""
    rows = runs.pairs(30)
    assert prepared(rows, dataset_num_proc=2).to_list() == prepared(rows).to_list()


@pytest.mark.parametrize("stream", [False, True])
def test_reference_values_that_come_with_the_rows_stay(stream):
    """The columns of the reference are kept as numbers, for the rows that are kept."""
    rows = [TEXT | {"ref_chosen_logps": -1.5, "ref_rejected_logps": -2}]
    rows += [{**rows[0], "rejected": TEXT["chosen"], "ref_chosen_logps": -9.0}]
    made = list(prepared(rows, stream=stream))
    assert [(row["ref_chosen_logps"], row["ref_rejected_logps"]) for row in made] == [(-1.5, -2.0)]


# ---- Pairs that are dropped -----------------------------------------------------------------------------------------


def test_pairs_without_a_use_are_dropped_and_counted(caplog):
    """Four reasons, one line."""
    rows = [
        {"prompt_ids": [1], "chosen_ids": [2, 3], "rejected_ids": [4]},
        {"prompt_ids": [1], "chosen_ids": [2, 3], "rejected_ids": [2, 3]},
        {"prompt_ids": [1], "chosen_ids": [], "rejected_ids": [2]},
        {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": []},
        {"prompt_ids": [1], "chosen_ids": [], "rejected_ids": []},
        {"prompt_ids": [1] * 6, "chosen_ids": [2], "rejected_ids": [3]},
        {"prompt_ids": [1] * 7, "chosen_ids": [2], "rejected_ids": [3]},
        {"prompt_ids": [1] * 4, "chosen_ids": [2, 3, 4], "rejected_ids": [2, 3, 5]},
        {"prompt_ids": [1] * 5, "chosen_ids": [2, 3], "rejected_ids": [3, 3]},
    ]
    with caplog.at_level(logging.WARNING):
        made = prepared(rows, max_length=6)
    assert made.to_list() == [rows[0], rows[8]]
    (message,) = caplog.messages
    assert message == (
        "train: dropped 7 of 9 rows (2 whose answers are equal; 1 whose answers are equal within `max_length`; "
        "2 whose prompt alone fills `max_length`; 2 with an empty answer)."
    )


def test_equal_texts_are_equal_answers(caplog):
    """Also where the prompt is implicit, and for conversations."""
    rows = [{"chosen": "the ship", "rejected": "the ship"}, {"chosen": "the ship", "rejected": "the rest"}]
    chats = [{"chosen": [ASK, GOOD], "rejected": [ASK, GOOD]}, {"chosen": [ASK, GOOD], "rejected": [ASK, BAD]}]
    with caplog.at_level(logging.WARNING):
        assert len(prepared(rows)) == len(prepared(chats)) == 1
    assert caplog.messages == ["train: dropped 1 of 2 rows (1 whose answers are equal)."] * 2


def test_keep_end_drops_no_long_prompt(caplog):
    """With `keep_end` a long prompt is cut; answers that differ only in what is cut away are dropped."""
    rows = [
        {"prompt_ids": [1] * 9, "chosen_ids": [2], "rejected_ids": [3]},
        {"prompt_ids": [1], "chosen_ids": [2, 5, 6, 7, 8], "rejected_ids": [3, 5, 6, 7, 8]},
        {"prompt_ids": [1], "chosen_ids": [5, 6, 7, 8], "rejected_ids": [3, 5, 6, 7, 8]},
    ]
    with caplog.at_level(logging.WARNING):
        made = prepared(rows, max_length=4, truncation_mode="keep_end")
    assert made.to_list() == rows[:1]
    assert caplog.messages == ["train: dropped 2 of 3 rows (2 whose answers are equal within `max_length`)."]


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_left(stream):
    """A data set without a pair of use is an error that says why."""
    with pytest.raises(ValueError, match=r"of the train .* of use: 2 whose answers are equal"):
        list(prepared([{**TEXT, "rejected": TEXT["chosen"]}] * 2, stream=stream))


# ---- Rows that are wrong --------------------------------------------------------------------------------------------

DIFFERENT = "{{ messages | length }}" + tiny.CHAT_TEMPLATE
"""Shows a prompt differently once it is answered."""
CHAT = {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]}


@pytest.mark.parametrize(
    ("row", "kind", "message"),
    [
        ({"prompt": "the", "chosen": " ship"}, ValueError, "has the columns prompt, chosen, but needs `chosen` and"),
        ({"messages": [ASK, GOOD]}, ValueError, "has the columns messages, but needs `chosen` and `rejected`, and a"),
        (TEXT | {"chosen": None}, TypeError, "train row 0, column `chosen`: expected text, got None. Drop the row or"),
        (TEXT | {"rejected": 3}, TypeError, "train row 0, column `rejected`: expected text, got 3 (int)"),
        (TEXT | {"prompt": None}, TypeError, "train row 0, column `prompt`: expected text, got None"),
        (TEXT | {"prompt": [ASK]}, ValueError, "column `prompt`: expected text as in `chosen` of the first row, got ["),
        (CHAT | {"prompt": "the"}, ValueError, "column `prompt`: expected messages as in `chosen` of the first row"),
        (CHAT | {"rejected": "no"}, ValueError, "Store both as text, or both as lists of messages."),
        (CHAT | {"prompt": []}, ValueError, "train row 0, column `prompt`: the conversation has no messages. Drop"),
        (CHAT | {"rejected": []}, ValueError, "train row 0, column `rejected`: the conversation has no messages"),
        (
            CHAT | {"chosen": None},
            TypeError,
            "train row 0, column `chosen`: expected a list of messages, got None. Store",
        ),
        (CHAT | {"chosen": ["yes"]}, TypeError, "column `chosen`: message 0 is 'yes' (str). A message is a mapping"),
        (CHAT | {"chosen": [{"content": "x"}]}, TypeError, "column `chosen`: message 0 has the `role` None. Name who"),
        (
            CHAT | {"chosen": [{"role": "assistant", "content": 3}]},
            TypeError,
            "message 0 (assistant) has the `content` 3 (int). Write what is said",
        ),
        (CHAT | {"tools": "{"}, ValueError, "column `tools`: the text '{' (str) is no JSON"),
        (CHAT | {"chat_template_kwargs": "[1]"}, TypeError, "column `chat_template_kwargs`: expected a dict, got [1]"),
        (
            {"chosen": [GOOD], "rejected": [BAD]},
            ValueError,
            "column `rejected`: the conversations begin with different messages, so that they share no prompt. Begin",
        ),
        (
            {"chosen": [ASK, GOOD], "rejected": [ASK]},
            ValueError,
            "column `rejected`: the conversation ends where the other one goes on. Store an answer in both.",
        ),
        ({"chosen": [ASK], "rejected": [ASK, BAD]}, ValueError, "column `chosen`: the conversation ends where the"),
        (IDS | {"chosen_ids": [4, 304]}, ValueError, "column `chosen_ids`: position 1 holds 304, which is not from 0"),
        (IDS | {"prompt_ids": [-1]}, ValueError, "position 0 holds -1, which is not from 0 to 299. Tokenise the rows"),
        (IDS | {"rejected_ids": "7 8"}, TypeError, "column `rejected_ids`: expected a list of integers, got '7 8'"),
        (
            TEXT | {"ref_chosen_logps": -1.0},
            ValueError,
            "has only one of the columns ref_chosen_logps and ref_rejected",
        ),
        (
            TEXT | {"ref_chosen_logps": math.nan, "ref_rejected_logps": -1.0},
            ValueError,
            "train row 0, column `ref_chosen_logps`: expected a finite number, got nan. Drop the row or correct it.",
        ),
        (
            TEXT | {"ref_chosen_logps": -1.0, "ref_rejected_logps": None},
            TypeError,
            "train row 0, column `ref_rejected_logps`: expected a number, got None. Store one per row.",
        ),
        (TEXT | {"images": []}, ValueError, "has a column of images, but the `processing_class` is a tokenizer. Pass"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_wrong_rows_are_named(row, kind, message, stream):
    """Split, row, column, what is wrong, and what to do, whether the rows are in memory or streamed."""
    with pytest.raises(kind) as error:
        list(prepared([row], stream=stream))
    assert message in str(error.value)


def test_the_row_that_is_wrong_is_numbered():
    """The number is the row's own, not its place in a batch of the preparation."""
    rows = [TEXT] * 1203 + [TEXT | {"chosen": None}]
    with pytest.raises(TypeError, match="eval row 1203, column `chosen`"):
        prepared(rows, name="eval")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "the rows hold messages, but the TokenizersBackend has no chat template. Set `chat_temp"),
        (DIFFERENT, "the prompt alone is not the beginning of the prompt with its answer: '1<|im_start|>user"),
        (
            "{{ raise_exception('no users') }}",
            "train row 0, column `chosen`: the chat template fails with TemplateError",
        ),
    ],
)
def test_templates_that_do_not_fit(template, message):
    """No template, one that shows a prompt differently once it is answered, and one that refuses the row."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(ValueError) as error:
        prepared([CHAT], tokenizer=tokenizer)
    assert message in str(error.value)


@pytest.mark.parametrize("rows", [[], "rows.jsonl", [TEXT]], ids=["empty", "path", "list"])
def test_what_is_no_data_set(rows):
    """No rows, a path and a plain list are named as what they are."""
    dataset = Dataset.from_list([]) if rows == [] else rows
    with pytest.raises((ValueError, TypeError), match=r"the train data set (has no rows|is a (str|list), expected)"):
        prepare(dataset, tiny.tokenizer(), DPOConfig("unused"), "train")


# ---- Batches --------------------------------------------------------------------------------------------------------

ROWS = [
    {"prompt_ids": [1, 2], "chosen_ids": [3, 4, 5], "rejected_ids": [6]},
    {"prompt_ids": [7], "chosen_ids": [8], "rejected_ids": [9, 10]},
]


def test_padded_batch():
    """The chosen answers, then the rejected ones, each behind its prompt; padding on the right."""
    batch = DataCollatorForPreference(pad_token_id=0)(ROWS)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5], [7, 8, 0, 0, 0], [1, 2, 6, 0, 0], [7, 9, 10, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]]
    assert batch["completion_mask"].tolist() == [[0, 0, 1, 1, 1], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 0, 0]]
    assert set(batch) == {"input_ids", "attention_mask", "completion_mask"}


def test_shared_batch():
    """Each prompt once, then both answers, whose positions go on from it; filler behind all."""
    batch = DataCollatorForPreference(pad_token_id=0, padding_free=True, pad_to_multiple_of=4)(ROWS)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 0, 1, 1, 2, 0, 1]]
    assert batch["completion_mask"].tolist() == [[0, 0, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0]]
    assert batch["seq_lengths"] == [(2, 3, 1), (1, 1, 2), 2]
    assert set(batch) == {"input_ids", "position_ids", "completion_mask", "seq_lengths"}


def test_keep_end_leaves_each_answer_its_own_prompt():
    """Where the answers leave different parts of the prompt, nothing is shared."""
    row = {"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6]}
    options = {"pad_token_id": 0, "max_length": 3, "truncation_mode": "keep_end"}
    assert DataCollatorForPreference(**options)([row])["input_ids"].tolist() == [[3, 4, 5], [2, 3, 6]]
    shared = DataCollatorForPreference(**options, padding_free=True)([row])
    assert shared["input_ids"].tolist() == [[3, 4, 5, 2, 3, 6]]
    assert shared["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2]]
    assert shared["completion_mask"].tolist() == [[0, 1, 1, 0, 0, 1]]
    assert shared["seq_lengths"] == [(0, 3, 3)]


@pytest.mark.parametrize("padding_free", [False, True])
def test_reference_values_are_part_of_a_batch(padding_free):
    """Columns of the reference become two vectors; without them there are none."""
    rows = [row | {"ref_chosen_logps": -1.0, "ref_rejected_logps": -2.5} for row in ROWS]
    batch = DataCollatorForPreference(pad_token_id=0, padding_free=padding_free)(rows)
    torch.testing.assert_close(batch["ref_chosen_logps"], torch.tensor([-1.0, -1.0]))
    torch.testing.assert_close(batch["ref_rejected_logps"], torch.tensor([-2.5, -2.5]))


IDS_DRAWN = st.lists(st.integers(3, 9), min_size=1, max_size=6)


@given(
    rows=st.lists(st.tuples(st.lists(st.integers(3, 9), max_size=6), IDS_DRAWN, IDS_DRAWN), min_size=1, max_size=4),
    max_length=st.one_of(st.none(), st.integers(2, 12)),
    mode=st.sampled_from(["keep_start", "keep_end"]),
    multiple=st.sampled_from([None, 1, 8]),
)
def test_layouts_hold_the_same_sequences(rows, max_length, mode, multiple):
    """What the shared layout says of a branch with what it shares is a row of the padded layout; none is too long."""
    examples = [dict(zip(TOKENS, row, strict=True)) for row in rows]
    options = {"pad_token_id": 0, "max_length": max_length, "truncation_mode": mode, "pad_to_multiple_of": multiple}
    padded = DataCollatorForPreference(**options)(examples)
    shared = DataCollatorForPreference(**options, padding_free=True)(examples)
    found, start = [[], []], 0
    for lengths in shared["seq_lengths"]:
        if isinstance(lengths, int):
            continue
        prompt = range(start, start + lengths[0])
        start += lengths[0]
        for answers, length in zip(found, lengths[1:], strict=True):
            places = [*prompt, *range(start, start + length)]
            assert shared["position_ids"][0, places].tolist() == list(range(len(places)))
            answers.append([shared[key][0, places].tolist() for key in ("input_ids", "completion_mask")])
            start += length
    for (ids, mask), row, real, learned in zip(
        found[0] + found[1], padded["input_ids"], padded["attention_mask"], padded["completion_mask"], strict=True
    ):
        assert ids == row[real == 1].tolist()
        assert mask == learned[real == 1].tolist()
        assert max_length is None or len(ids) <= max_length
    for batch in (padded, shared):
        assert batch["input_ids"].size(1) % (multiple or 1) == 0
        assert {value.shape for key, value in batch.items() if key != "seq_lengths"} == {batch["input_ids"].shape}
