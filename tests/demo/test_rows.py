"""The demo's data sets: the columns that each format promises, and no question on both sides."""

import json
from pathlib import Path

import pytest

from sternpost import demo
from sternpost.demo import build, rows

FORMATS = {
    "text": {"text"},
    "messages": {"messages"},
    "tools": {"messages", "tools"},
    "prompt_completion": {"prompt", "completion"},
    "preference": {"prompt", "chosen", "rejected"},
    "preference_implicit": {"chosen", "rejected"},
    "unpaired": {"prompt", "completion", "label"},
    "prompts": {"prompt", "answer", "task"},
    "stepwise": {"prompt", "completions", "labels"},
    "held_out": {"prompt", "answer", "task"},
    "held_out_preference": {"prompt", "chosen", "rejected"},
}
CONVERSATIONAL = ["prompt_completion", "preference", "preference_implicit", "unpaired", "prompts"]
ALL = {**FORMATS, **{f"{name}_messages": FORMATS[name] for name in CONVERSATIONAL}}


def is_conversation(value) -> bool:
    return isinstance(value, list) and all({"role", "content"} <= message.keys() for message in value)


def question(row: dict) -> str:
    """The question that a row asks, whatever its format."""
    turns = row.get("prompt") or row.get("messages") or row.get("chosen")
    if isinstance(turns, str):
        return turns.splitlines()[0]
    return next(message["content"] for message in turns if message["role"] == "user").strip()


@pytest.fixture(scope="module")
def shipped() -> dict[str, list[dict]]:
    return {
        name: [json.loads(line) for line in Path(demo.path(name)).read_text("utf-8").splitlines()]
        for name in demo.datasets()
    }


def test_the_shipped_data_sets_are_what_the_build_writes(tmp_path):
    """Byte for byte: nobody has edited them, and the same seed gives the same files."""
    build.write_datasets(tmp_path, seed=0)
    assert sorted(file.stem for file in tmp_path.iterdir()) == demo.datasets()
    for file in tmp_path.iterdir():
        assert file.read_bytes() == Path(demo.path(file.stem)).read_bytes(), file.name


def test_another_seed_gives_other_rows():
    """The seed is used."""
    assert dict(rows.datasets(1))["messages"] != dict(rows.datasets(0))["messages"]


@pytest.mark.parametrize("name", sorted(ALL))
def test_columns_and_types(name, shipped):
    """Every row has the columns of its format and no other; conversational columns hold messages, others text."""
    assert shipped.keys() == ALL.keys()
    conversational = name.endswith("_messages") or name in ("messages", "tools", "held_out", "held_out_preference")
    for row in shipped[name]:
        assert row.keys() == ALL[name]
        for column in row.keys() & {"messages", "prompt", "completion", "chosen", "rejected"}:
            assert is_conversation(row[column]) if conversational else isinstance(row[column], str)


def test_preferences_differ_and_implicit_ones_share_their_prompt(shipped):
    """Chosen is never rejected; an implicit row is the explicit one with the prompt in front."""
    for explicit, implicit in zip(shipped["preference"], shipped["preference_implicit"], strict=True):
        assert explicit["chosen"] != explicit["rejected"]
        assert implicit["chosen"] == explicit["prompt"] + explicit["chosen"]
        assert implicit["rejected"] == explicit["prompt"] + explicit["rejected"]
    for row in shipped["preference_implicit_messages"]:
        assert row["chosen"][:-1] == row["rejected"][:-1]


def test_labels_say_what_is_right(shipped):
    """Both labels occur; stepwise labels are one per step and never turn right again after a mistake."""
    assert {row["label"] for row in shipped["unpaired"]} == {True, False}
    for row in shipped["stepwise"]:
        assert len(row["labels"]) == len(row["completions"])
        assert row["labels"] == sorted(row["labels"], reverse=True)
    assert {row["labels"][-1] for row in shipped["stepwise"]} == {True, False}


def test_tool_rows_hold_a_whole_exchange(shipped):
    """Question, call, result, answer; the result is what the expression gives."""
    for row in shipped["tools"]:
        assert [message["role"] for message in row["messages"]] == ["user", "assistant", "tool", "assistant"]
        call = row["messages"][1]["tool_calls"][0]["function"]
        assert call["name"] == row["tools"][0]["function"]["name"]
        assert str(eval(call["arguments"]["expression"])) == row["messages"][2]["content"]


def test_no_held_out_question_is_trained_on(shipped):
    """The two sides have no question in common, and no held-out question is asked twice."""
    held_out = {question(row) for name in ("held_out", "held_out_preference") for row in shipped[name]}
    trained = {
        question(row)
        for name, data in shipped.items()
        if not name.startswith("held_out") and name != "text"
        for row in data
    }
    assert len(held_out) > 400
    assert not held_out & trained
    assert len({question(row) for row in shipped["held_out"]}) == len(shipped["held_out"])


def test_loading(shipped):
    """`load` gives the rows of the file as a `datasets.Dataset`; an unknown name is an error that lists the names."""
    data = demo.load("preference")
    assert data.column_names == ["prompt", "chosen", "rejected"]
    assert data.to_list() == shipped["preference"]
    with pytest.raises(ValueError, match=r"`name` is 'mesages'.*'messages'"):
        demo.load("mesages")
    with pytest.raises(ValueError, match="`name` is 'model'"):
        demo.load("model")
