"""Batches of rows with images: labels where they belong once images are expanded, and no cut through an image."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sternpost.sft.data import IGNORE
from sternpost.sft.vision import DataCollatorForVisionLanguageModeling, places_in

from .. import tiny
from .test_vision_language import Image, processor

PICTURE = Image.new("RGB", (16, 16), (200, 10, 10))
PLACES = 4
"""Tokens that one image of the tiny processor becomes."""
ASK = {"role": "user", "content": "what stands still"}
SAY = {"role": "assistant", "content": "the sternpost"}


def collate(examples, **options):
    return DataCollatorForVisionLanguageModeling(processor(), **options)(examples)


def decoded(batch, at: int = 0, learned: bool = False) -> str:
    tokenizer = processor().tokenizer
    ids = batch["labels"][at] if learned else batch["input_ids"][at][batch["attention_mask"][at].bool()]
    return tokenizer.decode(ids[ids != IGNORE])


IMAGE, OTHER = 0, st.integers(1, 4)


@given(st.lists(st.lists(OTHER, min_size=1, max_size=5), min_size=1, max_size=4), st.data())
def test_places_of_expanded_tokens(pieces, data):
    """Every token of the text is found behind as many tokens as the images before it became."""
    ids, expanded, expected = [], [], []
    for number, piece in enumerate(pieces):
        if number:
            ids.append(IMAGE)
            expected.append(len(expanded))
            expanded += [IMAGE] * data.draw(st.integers(1, 3))
        ids += piece
        expected += range(len(expanded), len(expanded) + len(piece))
        expanded += piece
    places = places_in(expanded, ids, [IMAGE])
    assert [expanded[place] for place in places] == ids
    assert places.tolist() == expected


def test_places_of_text_that_changed():
    """Text that is not found again gives no places instead of wrong ones."""
    assert places_in([1, IMAGE, IMAGE, 3], [1, IMAGE, 2], [IMAGE]) is None


@pytest.mark.parametrize("column", ["images", "image"])
def test_messages(column):
    """The image comes before the question; everything but it is learned."""
    batch = collate([{column: [PICTURE] if column == "images" else PICTURE, "messages": [ASK, SAY]}])
    text = "<|im_start|>user\n{}what stands still<|im_end|>\n<|im_start|>assistant\nthe sternpost<|im_end|>\n"
    assert decoded(batch) == text.format("<image>" * PLACES)
    assert decoded(batch, learned=True) == text.format("")
    assert batch["pixel_values"].shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("example", "options", "learned"),
    [
        ({"messages": [ASK, SAY, ASK, SAY]}, {"assistant_only_loss": True}, "the sternpost<|im_end|>" * 2),
        ({"prompt": [ASK], "completion": [SAY]}, {"completion_only_loss": True}, "the sternpost<|im_end|>\n"),
        (
            {"prompt": [ASK], "completion": [SAY, ASK, SAY]},
            {"completion_only_loss": True, "assistant_only_loss": True},
            "the sternpost<|im_end|>" * 2,
        ),
        ({"prompt": "<image>the", "completion": " ship"}, {"completion_only_loss": True}, " ship"),
    ],
)
def test_masks(example, options, learned):
    """What the options let be learned is found behind the images, in rows with and without images alike."""
    plain = {key: value.removeprefix("<image>") if isinstance(value, str) else value for key, value in example.items()}
    batch = collate([{"images": [PICTURE], **example}, {"images": [], **plain}], **options)
    assert decoded(batch, 0, learned=True) == decoded(batch, 1, learned=True) == learned


def test_images_in_the_middle():
    """Images marked in the content stay where they are marked, and what follows is still told apart."""
    parts = [{"type": "text", "text": "this "}, {"type": "image"}, {"type": "text", "text": " or"}, {"type": "image"}]
    chat = [{"role": "user", "content": parts}, SAY, ASK, SAY]
    batch = collate([{"images": [PICTURE, PICTURE], "messages": chat}], assistant_only_loss=True)
    image = "<image>" * PLACES
    assert f"this {image} or{image}<|im_end|>" in decoded(batch)
    assert decoded(batch, learned=True) == "the sternpost<|im_end|>" * 2
    assert len(batch["pixel_values"]) == 2


def test_rows_without_any_image():
    """A batch of text alone has no pixels."""
    batch = collate([{"images": [], "messages": [ASK, SAY]}, {"images": None, "messages": [ASK, SAY]}])
    assert "pixel_values" not in batch
    assert len(batch["input_ids"]) == 2


def test_running_text():
    """Text holds the places of its images itself; the column may have another name."""
    batch = collate([{"images": [PICTURE], "body": "the <image> ship"}], dataset_text_field="body")
    assert decoded(batch) == "the " + "<image>" * PLACES + " ship"
    assert decoded(batch, learned=True) == "the  ship"


def test_padding():
    """Rows are padded on the right to the multiple, without labels."""
    rows = [{"images": [PICTURE], "messages": [ASK, SAY]}, {"images": [PICTURE], "messages": [ASK]}]
    batch = collate(rows, pad_to_multiple_of=32)
    assert batch["input_ids"].size(1) % 32 == 0
    padding = batch["attention_mask"] == 0
    assert padding[:, -1].all()
    assert not padding[:, 0].any()
    assert (batch["labels"][padding] == IGNORE).all()


def test_another_template():
    """`chat_template` replaces that of the processor."""
    template = "{% for m in messages %}{% for p in m.content %}{{ p.text or '<image>' }}{% endfor %};{% endfor %}"
    batch = collate([{"images": [PICTURE], "messages": [ASK, SAY]}], chat_template=template)
    assert decoded(batch) == "<image>" * PLACES + "what stands still;the sternpost;"


def test_truncation():
    """Text is cut to `max_length` in everything that has a value per token; pixels stay."""
    rows = [{"images": [PICTURE], "messages": [ASK, SAY | {"content": "ship " * 20}]}]
    whole, cut = collate(rows), collate(rows, max_length=30)
    for key in ("input_ids", "attention_mask", "labels"):
        assert torch.equal(cut[key], whole[key][:, :30])
    assert torch.equal(cut["pixel_values"], whole["pixel_values"])


def test_images_are_not_cut():
    """A length that ends inside an image is refused: the model would see fewer places than pixels."""
    rows = [{"images": [PICTURE], "messages": [ASK, SAY]}]
    token = processor().tokenizer.convert_tokens_to_ids("<image>")
    end = int((collate(rows)["input_ids"][0] == token).nonzero().max()) + 1
    assert collate(rows, max_length=end)["input_ids"].size(1) == end
    with pytest.raises(ValueError, match=rf"batch row 0, column `images`: .* reach beyond `max_length={end - 1}`"):
        collate(rows, max_length=end - 1)


@pytest.mark.parametrize(
    ("example", "error", "problem"),
    [
        ({"images": [PICTURE], "messages": [SAY]}, ValueError, "no user message"),
        ({"images": [PICTURE], "messages": None}, TypeError, "batch row 0, column `messages`: .*got None"),
        (
            {"images": [PICTURE], "messages": [{"role": "user"}]},
            TypeError,
            r"message 0 \(user\) has the `content` None",
        ),
        ({"images": [], "messages": [{"role": "user", "content": [{"type": "image"}]}]}, ValueError, "1 places"),
        ({"images": [PICTURE], "text": 3}, TypeError, "column `text`: expected text, got 3"),
    ],
)
def test_malformed_rows(example, error, problem):
    """Rows with images are checked when a batch is made, in the same words."""
    with pytest.raises(error, match=problem):
        collate([example])


def test_same_tokenizer_as_in_the_other_tests():
    """The tiny processor wraps the tiny tokenizer, so that texts can be compared."""
    assert processor().tokenizer.get_vocab().keys() - tiny.tokenizer().get_vocab().keys() == {"<image>"}
