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


@pytest.mark.parametrize(
    ("prompt", "message"),
    [(3, "3 is neither text nor a list of messages"), ([], "neither text"), ("", "has no tokens"),
     (PICTURE, "row 0 of the batch, column `prompt`: a message holds image, text, but")],
)  # fmt: skip
def test_prompts_that_cannot_be_read(prompt, message):
    """A picture in a message is no text, and nothing is trained without it in silence."""
    with pytest.raises(ValueError, match=message):
        PromptTokenizer(tiny.tokenizer())([{"prompt": prompt}])


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
