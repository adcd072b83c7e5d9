"""Prompts of methods that generate: what is refused before a run begins, and what a prompt's tokens are."""

import pytest
from datasets import Dataset

from sternpost.data.prompts import PromptTokenizer, check_prompts

from .. import tiny

ROWS = Dataset.from_list([{"prompt": "a", "answer": "b"}])
PICTURE = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS.remove_columns("prompt"), "the train data set has the columns answer, but needs `prompt`"),
        (ROWS.add_column("image", [1]), "the train data set has the column `image`, but .* read text only"),
        (ROWS.add_column("images", [[1]]), "the train data set has the column `images`"),
        (ROWS.to_iterable_dataset(), "the train data set is a stream"),
        (ROWS.select([]), "the train data set has no rows"),
    ],
)
def test_data_sets_that_cannot_be_used(rows, message):
    """Each is refused with the reason and the way out, also when it is for evaluation."""
    with pytest.raises(ValueError, match=message):
        check_prompts(rows, None)
    with pytest.raises(ValueError, match=message.replace("train", "hard")):
        check_prompts(ROWS, {"easy": ROWS, "hard": rows})


def test_prompts_may_be_made_elsewhere():
    """Environments write prompts; what else is wrong with the rows is still said."""
    rows = ROWS.remove_columns("prompt")
    check_prompts(rows, rows, made_elsewhere=True)
    with pytest.raises(ValueError, match="column `images`"):
        check_prompts(rows.add_column("images", [[1]]), None, made_elsewhere=True)


ASK = [{"role": "user", "content": "stern"}]
PART = [{"role": "user", "content": [{"type": "text", "text": "stern"}]}]
CALL = {"type": "function", "function": {"name": "look", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("a", None, "expected text or messages, got None. Correct the row, or drop it"),
        ("a", "", "there is nothing to answer in ''"),
        (ASK, None, "expected text or messages, got None"),
        (ASK, [], "there is nothing to answer in "),
        (ASK, [{"role": "user", "content": " "}], "there is nothing to answer in "),
        (ASK, [{"role": "user", "content": None}], r"message 0 \(user\) has the `content` None.* Write what is said"),
        (ASK, [*ASK, {"role": None, "content": "x"}], "message 1 has the `role` None. Name who speaks"),
        (PART, PICTURE, "a message holds image, but methods that generate read text only"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_named_before_the_run(good, bad, message):
    """By its number in the data set, in whatever order and split; what is wrong with it and what to do are said."""
    rows = Dataset.from_dict({"prompt": [good] * 1234 + [bad] + [good] * 10})
    backwards = rows.select(range(len(rows) - 1, -1, -1))
    with pytest.raises((ValueError, TypeError), match=f"^train row 1234, column `prompt`: {message}"):
        check_prompts(rows, None)
    with pytest.raises((ValueError, TypeError), match=f"^hard row 10, column `prompt`: {message}"):
        check_prompts(ROWS, {"easy": ROWS, "hard": backwards})
    with pytest.raises((ValueError, TypeError), match=f"^batch row 1, column `prompt`: {message}"):
        PromptTokenizer(tiny.tokenizer())([{"prompt": good}, {"prompt": bad}])


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([5, 6], r"message 0 is 5 \(int\). A message is a mapping"),
        (["a"], r"message 0 is 'a' \(str\). A message is a mapping"),
        (5, r"expected text or messages, got 5 \(int\)"),
        ([{"role": "user", "content": ["a"]}], r"a part of a message is 'a' \(str\). A part is a mapping"),
    ],
)
def test_prompts_of_another_kind(prompt, message):
    """Ids of tokens are no text, and nothing else is a list of messages."""
    with pytest.raises(TypeError, match=f"^train row 0, column `prompt`: {message}"):
        check_prompts(Dataset.from_list([{"prompt": prompt}]), None)


def test_prompts_that_can_be_read():
    """Calls of tools need no content; `from` and `value` are names too; what a transform makes is not known yet."""
    called = [*ASK, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    for prompt in (ASK, called, [{"from": "human", "value": "a"}], [{"role": "user", "content": [{"text": "a"}]}]):
        check_prompts(Dataset.from_list([{"prompt": prompt}]), None)
    check_prompts(Dataset.from_list([{"prompt": None}]).with_transform(lambda rows: {"prompt": ["a"]}), None)


def test_environments_add_to_prompts():
    """There may be none, or an empty message; but they are messages."""
    empty = [{"role": "user", "content": ""}]
    rows = Dataset.from_list([{"prompt": None}, {"prompt": empty}, {"prompt": ASK}])
    check_prompts(rows, rows, made_elsewhere=True)
    with pytest.raises(TypeError, match="train row 1, column `prompt`: expected a list of messages, got 'a'"):
        check_prompts(Dataset.from_dict({"prompt": [None, "a"]}), None, made_elsewhere=True)


def test_prompts_without_tokens():
    """A template may show nothing of a message."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{{ '' }}"
    with pytest.raises(ValueError, match=r"batch row 0, column `prompt`: .* has no tokens"):
        PromptTokenizer(tokenizer)([{"prompt": ASK}])


def test_tokens_are_those_of_the_tokenizer():
    """Text by itself; messages with what opens the reply, and without the empty fields of data sets."""
    tokenizer = tiny.tokenizer()
    read = PromptTokenizer(tokenizer)
    assert read([]) == []
    assert read([{"prompt": "stern post"}]) == [tokenizer("stern post").input_ids]
    said = [{"role": "user", "content": "stern", "name": None}]
    opened = tokenizer.apply_chat_template(
        [{"role": "user", "content": "stern"}], add_generation_prompt=True, return_dict=False
    )
    assert read([{"prompt": said}]) == [opened]


def test_prompts_that_only_a_roll_out_function_reads():
    """They may be anything that it understands."""
    rows = Dataset.from_dict({"prompt": [[1, 2], [3]]})
    check_prompts(rows, None, read_elsewhere=True)
    with pytest.raises(TypeError, match="row 0"):
        check_prompts(rows, None)
