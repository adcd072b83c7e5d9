"""Rows -> tokens -> batches: every format, every mask, every cut, and a clear word for every malformed row."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, IterableDataset, concatenate_datasets
from hypothesis import given
from hypothesis import strategies as st

from sternpost import SFTConfig
from sternpost.data.rows import RowBatch
from sternpost.sft.data import IGNORE, DataCollatorForLanguageModeling, Preparation, prepare

from .. import tiny

ASK = {"role": "user", "content": "what stands still"}
SAY = {"role": "assistant", "content": "the sternpost"}
TOOL = {"type": "function", "function": {"name": "steer", "parameters": {}}}
CONTENT = st.text(alphabet="ab the sternpost\n 🙂éñ中́", max_size=20)


def options(**given) -> SFTConfig:
    return SFTConfig(output_dir="unused", report_to="none", **given)


def prepared(rows, *, packing=False, tokenizer=None, formatting_func=None, name="train", stream=False, **given):
    dataset = Dataset.from_list(rows) if isinstance(rows, list) else rows
    dataset = dataset.to_iterable_dataset() if stream else dataset
    args = options(packing=packing, **given)
    return prepare(
        dataset, tokenizer or tiny.tokenizer(), args, packing=packing, formatting_func=formatting_func, name=name
    )


def tokens_of(row: dict, tokenizer=None, **given) -> tuple[dict[str, list[int]], str | None]:
    """What the preparation makes of one row, and why it would drop it."""
    args = options(**{"max_length": None} | given)
    step = Preparation.of(list(row), tokenizer or tiny.tokenizer(), args, False, None, "train")
    outputs, (dropped,) = step(RowBatch({column: [value] for column, value in row.items()}, [0], "train"))
    return {column: [int(token) for token in values[0]] for column, values in outputs.items()}, dropped


def learned_text(row: dict) -> str:
    return tiny.tokenizer().decode([label for label in row.get("labels", row["input_ids"]) if label != IGNORE])


# ---- Formats --------------------------------------------------------------------------------------------------------

WHOLE = "<|im_start|>user\nwhat stands still<|im_end|>\n<|im_start|>assistant\nthe sternpost<|im_end|>\n"
CALL = {"from": "human", "value": "what stands still"}


@pytest.mark.parametrize(
    ("row", "text", "learned"),
    [
        ({"text": "the ship"}, "the ship<|im_end|>", "the ship<|im_end|>"),
        ({"text": "the ship<|im_end|>"}, "the ship<|im_end|>", "the ship<|im_end|>"),
        ({"prompt": "the", "completion": " ship"}, "the ship<|im_end|>", " ship<|im_end|>"),
        ({"prompt": "the", "completion": ""}, "the<|im_end|>", "<|im_end|>"),
        ({"prompt": [ASK], "completion": [SAY]}, WHOLE, "the sternpost<|im_end|>\n"),
        ({"messages": [ASK, SAY]}, WHOLE, WHOLE),
        ({"conversations": [ASK, SAY]}, WHOLE, WHOLE),
        ({"conversations": [CALL, {"from": "gpt", "value": "the sternpost"}]}, WHOLE, WHOLE),
        ({"messages": [ASK, SAY], "text": "another", "id": 3}, WHOLE, WHOLE),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_formats(row, text, learned, stream):
    """Each format gives the tokens of its text, ended once, and learns its completion or all of it."""
    (made,) = prepared([row], stream=stream)
    assert made["input_ids"] == tiny.tokenizer()(text)["input_ids"]
    assert learned_text(made) == learned
    assert ("labels" in made) is ("completion" in row)


def test_text_column_by_another_name():
    """`dataset_text_field` names the column of running text."""
    (made,) = prepared([{"body": "the ship", "title": "x"}], dataset_text_field="body")
    assert made["input_ids"] == tiny.tokenizer()("the ship<|im_end|>")["input_ids"]


def test_formatting_func():
    """The function sees the whole row; its text is treated as running text."""
    rows = [{"a": "the", "b": {"c": "ship"}, "n": 1}, {"a": "one", "b": {"c": "two"}, "n": 2}]
    made = prepared(rows, formatting_func=lambda row: f"{row['a']} {row['b']['c']}")
    assert [tiny.tokenizer().decode(ids) for ids in made["input_ids"]] == ["the ship<|im_end|>", "one two<|im_end|>"]


def test_end_of_text_by_another_token():
    """`eos_token` ends texts instead of the tokenizer's own."""
    (made,) = prepared([{"text": "the ship"}], eos_token="<|endoftext|>")
    assert tiny.tokenizer().decode(made["input_ids"]) == "the ship<|endoftext|>"


def test_whole_prompt_and_completion():
    """`completion_only_loss=False` learns the prompt too."""
    (made,) = prepared([{"prompt": "the", "completion": " ship"}], completion_only_loss=False)
    assert set(made) == {"input_ids"}


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL])])
def test_tools_and_template_options_reach_the_template(tools):
    """The columns `tools` and `chat_template_kwargs` of a row are seen by its template."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{{ tools[0].function.name if tools }}|{{ mood }}|{{ messages[0].content }}"
    rows = [
        {"messages": [ASK], "tools": tools, "chat_template_kwargs": {"mood": "calm"}},
        {"messages": [ASK], "tools": None, "chat_template_kwargs": None},
    ]
    made = prepared(rows, tokenizer=tokenizer)
    assert [tokenizer.decode(ids) for ids in made["input_ids"]] == [
        "steer|calm|what stands still",
        "||what stands still",
    ]


def test_tokens_come_through():
    """Rows of tokens keep their ids; labels and masks hide what they say."""
    rows = [{"input_ids": [5, 6, 7, 8], "labels": [IGNORE, 6, 7, 8]}]
    assert prepared(rows).to_list() == rows
    assert prepared([{"input_ids": [5, 6, 7]}]).to_list() == [{"input_ids": [5, 6, 7]}]
    masked = {"input_ids": [5, 6, 7, 8], "completion_mask": [0, 0, 1, 1], "assistant_masks": [1, 1, 1, 0]}
    assert prepared([masked])[0]["labels"] == [IGNORE, IGNORE, 7, IGNORE]
    assert prepared([masked], completion_only_loss=False)[0]["labels"] == [5, 6, 7, IGNORE]


def test_packed_rows_come_through():
    """Rows that are packed already keep their lengths and are neither cut nor packed again."""
    rows = [{"input_ids": [5, 6, 7, 8], "seq_lengths": [3, 1]}] * 2
    assert prepared(rows, packing=True, max_length=4).to_list() == rows


def test_preparation_can_be_skipped():
    """With `skip_prepare_dataset` the rows are the same object."""
    dataset = Dataset.from_list([{"input_ids": [5, 99999], "other": "x"}])
    assert prepared(dataset, dataset_kwargs={"skip_prepare_dataset": True}) is dataset


class WithoutOffsets:
    """A tokenizer written in Python: no backend, no offsets."""

    backend_tokenizer = None

    def __init__(self):
        self.fast = tiny.tokenizer()

    def __call__(self, text, add_special_tokens):
        return self.fast(text, add_special_tokens=add_special_tokens)

    def __len__(self):
        return len(self.fast)

    def __getattr__(self, name):
        return getattr(self.fast, name)


@pytest.mark.parametrize(
    ("row", "masks"),
    [
        ({"text": "the ship"}, {}),
        ({"prompt": "the ", "completion": "ship"}, {}),
        ({"prompt": [ASK], "completion": [SAY]}, {}),
        ({"messages": [ASK, SAY, ASK, SAY]}, {"assistant_only_loss": True}),
    ],
)
def test_tokenizers_without_offsets(row, masks):
    """A tokenizer written in Python gives the same tokens and learns the same text as a fast one."""
    outputs, dropped = tokens_of(row, **masks)
    assert tokens_of(row, tokenizer=WithoutOffsets(), **masks) == (outputs, dropped)
    assert dropped is None


# ---- Masks and cuts, against naive formulas -------------------------------------------------------------------------


def naive_masks(pieces: list[tuple[str, bool]]) -> tuple[list[int], list[int]]:
    """Ids and labels of a text made of pieces, of which some are learned: character by character."""
    text = "".join(piece for piece, _ in pieces)
    chars = [learned for piece, learned in pieces for _ in piece]
    encoded = tiny.tokenizer()(text, return_offsets_mapping=True)
    labels = [
        token if any(chars[start:end]) else IGNORE
        for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    ]
    return encoded["input_ids"], labels


def as_pieces(chat: list[dict], prompt: int) -> list[tuple[str, bool, bool]]:
    """The rendering of a chat piece by piece: text, said by the assistant, part of the completion."""
    pieces = []
    for turn, message in enumerate(chat):
        said = message["role"] == "assistant"
        header = f"<|im_start|>{message['role']}\n"
        opening = turn == prompt and said  # the generation prompt belongs to the prompt
        pieces.append((header, False, turn >= prompt and not opening))
        pieces.append((message["content"] + "<|im_end|>", said, turn >= prompt))
        pieces.append(("\n", False, turn >= prompt))
    return pieces


CHAT = st.lists(CONTENT, min_size=2, max_size=5).map(
    lambda said: [{"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(said)]
)


@given(CHAT, st.booleans(), st.booleans())
def test_masks_of_conversations(chat, assistant_only, completion_only):
    """A token is learned if it holds a character of what is learned: assistant, completion, or both."""
    pieces = as_pieces(chat, 1)
    row = {"prompt": chat[:1], "completion": chat[1:]}
    made, _ = tokens_of(row, assistant_only_loss=assistant_only, completion_only_loss=completion_only)
    ids, by_assistant = naive_masks([(text, said or not assistant_only) for text, said, _ in pieces])
    _, by_completion = naive_masks([(text, replied or not completion_only) for text, _, replied in pieces])
    labels = [a if a == b else IGNORE for a, b in zip(by_assistant, by_completion, strict=True)]
    assert made["input_ids"] == ids
    assert made.get("labels", ids) == labels


@given(CONTENT, CONTENT)
def test_masks_of_texts(prompt, completion):
    """The completion begins with the first token that holds one of its characters; its end is learned."""
    made, _ = tokens_of({"prompt": "x" + prompt, "completion": completion})
    ids, labels = naive_masks([("x" + prompt, False), (completion + "<|im_end|>", True)])
    assert made == {"input_ids": ids, "labels": labels}


@given(CHAT, st.integers(2, 40), st.sampled_from(["keep_start", "keep_end"]))
def test_truncation_keeps_labels_aligned(chat, length, mode):
    """A cut row is the beginning or the end of the whole one, ids and labels alike; it is dropped if none is left."""
    row = {"prompt": chat[:1], "completion": chat[1:]}
    whole, _ = tokens_of(row)
    kept = slice(length) if mode == "keep_start" else slice(-length, None)
    cut, dropped = tokens_of(row, max_length=length, truncation_mode=mode)
    assert cut == {column: values[kept] for column, values in whole.items()}
    assert (dropped is None) is any(label != IGNORE for label in cut["labels"][1:])


@pytest.mark.parametrize("strategy", ["bfd", "bfd_split"])
def test_packed_rows_hold_the_rows(strategy):
    """Packing only puts rows together: `bfd` those that are cut, `bfd_split` all pieces of those that are not."""
    rows = [{"prompt": row["messages"][:1], "completion": row["messages"][1:]} for row in tiny.conversations(60)]
    packed = prepared(rows, packing=True, max_length=48, packing_strategy=strategy)
    documents = []
    for row in packed:
        for end, size in zip(np.cumsum(row["seq_lengths"]), row["seq_lengths"], strict=True):
            documents.append((row["input_ids"][end - size : end], row["labels"][end - size : end]))
    alone = prepared(rows, max_length=48 if strategy == "bfd" else None)
    assert sorted(documents) == sorted(
        (row["input_ids"][start : start + 48], row["labels"][start : start + 48])
        for row in alone
        for start in range(0, len(row["input_ids"]), 48)
    )


# ---- Streaming, processes, order ------------------------------------------------------------------------------------

FORMATS = {
    "text": [{"text": row["messages"][1]["content"]} for row in tiny.conversations(1100)],
    "messages": tiny.conversations(1100),
    "prompt_completion": [
        {"prompt": row["messages"][:1], "completion": row["messages"][1:]} for row in tiny.conversations(1100)
    ],
    "tokens": [{"input_ids": [at % 200, 3, 4], "completion_mask": [0, 1, 1]} for at in range(1100)],
}


@pytest.mark.parametrize("form", sorted(FORMATS))
@pytest.mark.parametrize("packing", [None, "bfd", "bfd_split", "wrapped"])
def test_streaming_is_map_style(form, packing):
    """A stream gives the same rows in the same order, of the same types, also where rows are dropped or packed."""
    given = {"packing": True, "packing_strategy": packing, "max_length": 40} if packing else {"max_length": 40}
    if form == "messages":
        given["assistant_only_loss"] = True
    table = prepared(FORMATS[form], **given)
    stream = prepared(FORMATS[form], stream=True, **given)
    assert list(stream) == table.to_list()
    assert stream.features == table.features
    assert stream.column_names == table.column_names


def test_processes_give_the_same_rows():
    """`dataset_num_proc` changes who does the work, not the rows."""
    assert prepared(FORMATS["messages"], dataset_num_proc=2).to_list() == prepared(FORMATS["messages"]).to_list()


def test_processes_name_the_row():
    """An error in a worker process says which row of the whole data set it is."""
    rows = [*FORMATS["text"][:700], {"text": None}]
    with pytest.raises(TypeError, match="train row 700, column `text`: expected text, got None"):
        prepared(rows, dataset_num_proc=2)


def test_shuffled_before_packing():
    """`shuffle_dataset` puts training rows in another order, the same for the same seed; evaluation stays."""
    plain = prepared(FORMATS["text"])["input_ids"][:]
    shuffled = prepared(FORMATS["text"], shuffle_dataset=True, seed=1)["input_ids"][:]
    assert shuffled != plain
    assert sorted(shuffled) == sorted(plain)
    assert prepared(FORMATS["text"], shuffle_dataset=True, seed=1)["input_ids"][:] == shuffled
    assert prepared(FORMATS["text"], shuffle_dataset=True, name="eval")["input_ids"][:] == plain


def test_second_preparation_is_read_from_the_cache(tmp_path: Path):
    """The same file with the same options is tokenised once; other options tokenise it again."""
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in FORMATS["messages"][:50]))
    dataset = Dataset.from_json(str(file), cache_dir=str(tmp_path / "cache"))
    first, again = prepared(dataset), prepared(dataset)
    assert first.cache_files == again.cache_files != []
    assert prepared(dataset, max_length=7).cache_files != first.cache_files


# ---- Dropped rows ---------------------------------------------------------------------------------------------------


def test_rows_with_nothing_to_learn_are_dropped_and_counted(caplog):
    """One line per split says how many rows were dropped, and why."""
    rows = [
        {"messages": [ASK, SAY]},
        {"messages": [ASK]},
        {"messages": [ASK | {"content": "long " * 40}, SAY]},
        {"messages": [ASK | {"content": "long " * 50}, SAY]},
    ]
    with caplog.at_level(logging.WARNING):
        made = prepared(rows, assistant_only_loss=True, max_length=60)
    assert [learned_text(row) for row in made] == ["the sternpost<|im_end|>"]
    (line,) = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert line.startswith("train: dropped 3 of 4 rows")
    assert "2 with nothing to learn within `max_length`: the prompt alone is longer" in line
    assert "1 with nothing to learn: no completion, no assistant turn" in line


def test_first_label_alone_is_nothing():
    """No token comes before the first one to predict it, so a row that only learns that is dropped."""
    assert tokens_of({"input_ids": [5, 6, 7], "labels": [5, IGNORE, IGNORE]})[1].startswith("with nothing to learn")
    assert tokens_of({"input_ids": [5, 6, 7], "labels": [5, IGNORE, 7]})[1] is None


@pytest.mark.parametrize("rows", [[{"text": ""}], [{"input_ids": [5]}], [{"input_ids": []}]])
def test_nothing_left(rows):
    """A split without any row to learn from is an error that says why."""
    with pytest.raises(ValueError, match="no row of the train data set is of use: 1 with fewer than two tokens"):
        prepared(rows)


# ---- Malformed rows -------------------------------------------------------------------------------------------------

GOOD = {"messages": [ASK, SAY]}


@pytest.mark.parametrize(
    ("rows", "given", "error", "message"),
    [
        ([{"body": "a"}], {}, ValueError, r"columns body, but needs `messages`.*set `dataset_text_field`"),
        ([{"prompt": "a"}], {}, ValueError, r"columns prompt, but needs .*`prompt` and `completion`"),
        ([{"text": None}], {}, TypeError, "train row 0, column `text`: expected text, got None"),
        ([{"text": 7}], {}, TypeError, r"train row 0, column `text`: expected text, got 7 \(int\)"),
        ([{"text": [ASK]}], {}, TypeError, "column `text`: expected text, got .*list"),
        ([{"messages": "hello"}], {}, TypeError, "column `messages`: expected a list of messages, got 'hello'"),
        ([GOOD, {"messages": None}], {}, TypeError, "train row 1, column `messages`: .* got None"),
        ([GOOD, {"messages": []}], {}, ValueError, "train row 1, column `messages`: the conversation has no messages"),
        ([GOOD, {"messages": [ASK, None]}], {}, TypeError, "train row 1, column `messages`: message 1 is None"),
        (
            [GOOD, {"messages": [{"role": None, "content": "a"}]}],
            {},
            TypeError,
            "row 1, .*message 0 has the `role` None",
        ),
        (
            [{"messages": [{"role": "user", "content": None}]}],
            {},
            TypeError,
            r"message 0 \(user\) has the `content` None",
        ),
        ([{"messages": [{"speaker": "user"}]}], {}, TypeError, "message 0 has the `role` None"),
        ([{"prompt": "a", "completion": None}], {}, TypeError, "column `completion`: expected text, got None"),
        (
            [{"prompt": None, "completion": "a"}],
            {},
            TypeError,
            "column `prompt`: expected a list of messages, got None",
        ),
        ([{"prompt": "a", "completion": [SAY]}], {}, TypeError, "column `completion`: expected text, got .*list"),
        ([{"prompt": [ASK], "completion": "a"}], {}, TypeError, "column `completion`: expected a list of messages"),
        (
            [{"prompt": [ASK], "completion": []}],
            {},
            ValueError,
            "column `completion`: the conversation has no messages",
        ),
        ([GOOD | {"tools": "{"}], {}, ValueError, "column `tools`: the text '{' .* is no JSON"),
        ([GOOD | {"chat_template_kwargs": "[1]"}], {}, TypeError, "column `chat_template_kwargs`: expected a dict"),
        ([{"input_ids": "1 2"}], {}, TypeError, "column `input_ids`: expected a list of integers, got '1 2'"),
        ([{"input_ids": [1, 300]}], {}, ValueError, "position 1 holds 300, which is not from 0 to 299"),
        ([{"input_ids": [1, -5]}], {}, ValueError, "train row 0, column `input_ids`: position 1 holds -5"),
        ([{"input_ids": [1, 2], "labels": [1]}], {}, ValueError, "column `labels`: 1 values for 2 `input_ids`"),
        ([{"input_ids": [1, 2], "labels": [1, -7]}], {}, ValueError, "column `labels`: position 1 holds -7"),
        ([{"input_ids": [1, 2], "completion_mask": [1, 2]}], {}, ValueError, "`completion_mask`: position 1 holds 2"),
        ([{"input_ids": [1, 2], "seq_lengths": [3, -1]}], {}, ValueError, "`seq_lengths`: position 1 holds -1"),
        ([{"input_ids": [1, 2], "seq_lengths": [3]}], {}, ValueError, "`seq_lengths`: the sum is 3 for 2 `input_ids`"),
        ([{"text": "a"}], {"eos_token": "<end>"}, ValueError, "`eos_token='<end>'` is not in the vocabulary"),
        ([{"text": "a"}], {"assistant_only_loss": True}, ValueError, "`assistant_only_loss=True` needs conversations"),
        ([{"text": "a"}], {"completion_only_loss": True}, ValueError, "`completion_only_loss=True` needs rows with"),
        ([GOOD], {"completion_only_loss": True}, ValueError, "for conversations set `assistant_only_loss=True`"),
        (
            [{"prompt": "a", "completion": "b"}],
            {"assistant_only_loss": True},
            ValueError,
            "row 0, column `prompt`: `assistant_only_loss=True` needs messages, but this is text",
        ),
        (
            [{"text": "a"}],
            {"dataset_kwargs": {"skip_prepare_dataset": True}},
            ValueError,
            "has no column `input_ids`, only text. Tokenise it, or leave `skip_prepare_dataset` out",
        ),
    ],
)
def test_malformed_input(rows, given, error, message):
    """Each mistake is one error of a builtin type that names row and column or option, and the way out."""
    with pytest.raises(error, match=message):
        prepared(rows, **given)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"text": 3}, TypeError, r"train row 1, column `text`: expected text, got 3"),
        ({"text": None}, TypeError, "train row 1, column `text`: expected text, got None"),
        ({"body": "a"}, (TypeError, KeyError), "text"),
    ],
)
def test_malformed_rows_in_a_stream(bad, error, message):
    """A stream whose rows differ is told the row as well."""
    stream = IterableDataset.from_generator(lambda: iter([{"text": "the ship"}, bad]))
    with pytest.raises(error, match=message):
        list(prepared(stream))


def test_templates_that_refuse_a_row():
    """A role that the template does not know is an error of that row."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'pirate' %}{{ raise_exception('unknown role ' + m.role) }}{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    rows = [GOOD, {"messages": [{"role": "pirate", "content": "a"}]}]
    with pytest.raises(
        ValueError, match=r"train row 1, column `messages`: the chat template fails .* unknown role pirate"
    ):
        prepared(rows, tokenizer=tokenizer)


def test_template_without_markers():
    """`assistant_only_loss` with a template that marks nothing is refused before any row is read."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{{ messages[0].content }}"
    with pytest.raises(ValueError, match="Set `chat_template_path` to one that does"):
        prepared([GOOD], tokenizer=tokenizer, assistant_only_loss=True)


def test_no_template():
    """Messages without a chat template are refused with the way to one."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="has no chat template"):
        prepared([GOOD], tokenizer=tokenizer)


def test_formatting_func_must_return_text():
    """A function that returns something else is told the row."""
    with pytest.raises(TypeError, match=r"train row 1: `formatting_func` gave \['a'\] \(list\)"):
        prepared([{"a": "x"}, {"a": "y"}], formatting_func=lambda row: "x" if row["a"] == "x" else ["a"])


def test_images_are_refused_without_a_processor():
    """A column of images with a tokenizer is an error that says what to pass."""
    rows = Dataset.from_dict({"text": ["a"], "images": [[]]})
    with pytest.raises(ValueError, match="column of images, but the `processing_class` is a tokenizer"):
        prepared(rows)


# ---- Batches --------------------------------------------------------------------------------------------------------

EXAMPLES = st.lists(
    st.lists(st.tuples(st.integers(0, 99), st.booleans()), min_size=1, max_size=8).map(
        lambda tokens: {
            "input_ids": [token for token, _ in tokens],
            "labels": [token if learned else IGNORE for token, learned in tokens],
        }
    ),
    min_size=1,
    max_size=4,
)


@given(EXAMPLES, st.sampled_from([None, 4]))
def test_padded_batch(examples, multiple):
    """Rows on the left, padding behind them with mask 0 and no label."""
    batch = DataCollatorForLanguageModeling(7, pad_to_multiple_of=multiple)(examples)
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    width = batch["input_ids"].size(1)
    assert width % (multiple or 1) == 0
    for at, row in enumerate(examples):
        size = len(row["input_ids"])
        assert batch["input_ids"][at].tolist() == row["input_ids"] + [7] * (width - size)
        assert batch["attention_mask"][at].tolist() == [1] * size + [0] * (width - size)
        assert batch["labels"][at].tolist() == row["labels"] + [IGNORE] * (width - size)
    assert all(values.dtype == torch.int64 for values in batch.values())


@given(EXAMPLES, st.sampled_from([None, 4]))
def test_end_to_end_batch(examples, multiple):
    """Rows one after the other, positions from 0, the first label of each masked, padding a document of its own."""
    batch = DataCollatorForLanguageModeling(7, padding_free=True, pad_to_multiple_of=multiple)(examples)
    sizes = [len(row["input_ids"]) for row in examples]
    filler = batch["input_ids"].size(1) - sum(sizes)
    assert 0 <= filler < (multiple or 1)
    assert batch["seq_lengths"] == sizes + [filler] * (filler > 0)
    assert batch["input_ids"].tolist() == [[token for row in examples for token in row["input_ids"]] + [7] * filler]
    assert batch["position_ids"].tolist() == [[at for size in batch["seq_lengths"] for at in range(size)]]
    labels = [label for row in examples for label in [IGNORE, *row["labels"][1:]]]
    assert batch["labels"].tolist() == [labels + [IGNORE] * filler]
    assert all(type(size) is int for size in batch["seq_lengths"])


def test_packed_rows_are_laid_end_to_end():
    """Rows with `seq_lengths` need no option; documents inside them restart."""
    rows = [{"input_ids": [1, 2, 3], "seq_lengths": [2, 1]}, {"input_ids": [4, 5], "seq_lengths": [2]}]
    batch = DataCollatorForLanguageModeling(0)(rows)
    assert batch["seq_lengths"] == [2, 1, 2]
    assert batch["position_ids"].tolist() == [[0, 1, 0, 0, 1]]
    assert batch["labels"].tolist() == [[IGNORE, 2, IGNORE, IGNORE, 5]]


def test_labels_are_the_ids_where_nothing_hides_them():
    """Rows without labels, or with none, learn all; masks of rows that were not prepared are applied."""
    rows = [
        {"input_ids": [1, 2, 3]},
        {"input_ids": [1, 2, 3], "labels": None},
        {"input_ids": [1, 2, 3], "completion_mask": [0, 1, 1], "assistant_masks": [1, 1, 0]},
    ]
    batch = DataCollatorForLanguageModeling(0)(rows)
    assert batch["labels"].tolist() == [[1, 2, 3], [1, 2, 3], [IGNORE, 2, IGNORE]]


def test_position_ids_on_request():
    """`return_position_ids` adds positions to padded batches, 0 at padding."""
    batch = DataCollatorForLanguageModeling(0, return_position_ids=True)([{"input_ids": [5, 6]}, {"input_ids": [5]}])
    assert batch["position_ids"].tolist() == [[0, 1], [0, 0]]


def test_arrays_and_tensors_are_rows_too():
    """Rows of a data set with a format give the same batch as lists."""
    rows = [{"input_ids": [1, 2, 3], "labels": [IGNORE, 2, 3]}, {"input_ids": [4], "labels": [4]}]
    for collator in (DataCollatorForLanguageModeling(0), DataCollatorForLanguageModeling(0, padding_free=True)):
        expected = collator(rows)
        for kind in (np.array, torch.tensor):
            made = collator([{name: kind(values) for name, values in row.items()} for row in rows])
            assert all(torch.equal(torch.as_tensor(made[key]), torch.as_tensor(expected[key])) for key in expected)


def test_mixtures_of_prepared_splits():
    """Splits prepared apart can be joined: rows without labels learn everything."""
    joined = concatenate_datasets([prepared([{"text": "the ship"}]), prepared([{"prompt": "a", "completion": "b"}])])
    batch = DataCollatorForLanguageModeling(0)(list(joined))
    assert (batch["labels"][0] == batch["input_ids"][0])[: len(joined[0]["input_ids"])].all()
    assert batch["labels"][1][0] == IGNORE
