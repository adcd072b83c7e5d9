"""Pairs with images -> batches: images with both answers, only answers marked, and clear words where that fails."""

import pytest
import torch

from sternpost.dpo import DataCollatorForVisionPreference

from .. import tiny
from ..sft import test_vision_language as vision

Image = pytest.importorskip("PIL.Image")
ASK = {"role": "user", "content": "what stands still"}
GOOD, BAD = {"role": "assistant", "content": "the ship"}, {"role": "assistant", "content": "the rest of it"}
PICTURE = Image.new("RGB", (16, 16), (200, 0, 100))
PATCHES = 4


def row(**given) -> dict:
    return {"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD], "images": [PICTURE]} | given


def collate(*rows: dict, **options) -> dict:
    return DataCollatorForVisionPreference(vision.processor(), **options)(list(rows))


def answers(batch) -> list[str]:
    """What is marked as answer in each row."""
    tokenizer = vision.processor().tokenizer
    return [
        tokenizer.decode(ids[mask == 1]) for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
    ]


@pytest.mark.parametrize(
    "made",
    [
        row(),
        {"chosen": [ASK, GOOD], "rejected": [ASK, BAD], "images": [PICTURE]},
        {"chosen": [ASK, GOOD], "rejected": [ASK, BAD], "image": PICTURE},
        row(prompt=[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what stands still"}]}]),
    ],
    ids=["explicit", "implicit", "one image", "typed"],
)
def test_conversations(made):
    """The image stands in both rows of a pair, before what is asked; the answers alone are marked."""
    batch = collate(made)
    assert batch["pixel_values"].shape[0] == 2
    token = vision.processor().tokenizer.convert_tokens_to_ids("<image>")
    assert (batch["input_ids"] == token).sum(1).tolist() == [PATCHES, PATCHES]
    assert [text.strip() for text in answers(batch)] == ["the ship<|im_end|>", "the rest of it<|im_end|>"]
    assert not (batch["completion_mask"] & (batch["attention_mask"] == 0)).any()


def test_chosen_answers_come_first():
    """Two pairs are four rows: both chosen answers, then both rejected ones, with their own images."""
    other = row(chosen=[{"role": "assistant", "content": "one"}], images=[Image.new("RGB", (16, 16), "white")])
    batch = collate(row(), other)
    assert [text.split("<")[0] for text in answers(batch)] == ["the ship", "one", "the rest of it", "the rest of it"]
    pixels = batch["pixel_values"]
    assert torch.equal(pixels[0], pixels[2])
    assert torch.equal(pixels[1], pixels[3])
    assert not torch.equal(pixels[0], pixels[1])


def test_text_with_placeholders():
    """Running text holds the places of its images, and is ended once."""
    made = {"prompt": "<image> the", "chosen": " ship", "rejected": " rest<|im_end|>", "images": [PICTURE]}
    batch = collate(made)
    assert answers(batch) == [" ship<|im_end|>", " rest<|im_end|>"]
    assert batch["pixel_values"].shape[0] == 2


def test_rows_without_images():
    """Rows of a data set with images may have none."""
    batch = collate(row(images=[]), row(images=None))
    assert "pixel_values" not in batch
    assert len(batch["input_ids"]) == 4


def test_multiple_of():
    """`pad_to_multiple_of` fills the batch on the right."""
    assert collate(row(), pad_to_multiple_of=32)["input_ids"].shape[1] % 32 == 0


def test_cut():
    """Answers are cut at `max_length`, in every value that a token has."""
    whole = collate(row())
    cut = collate(row(), max_length=whole["input_ids"].shape[1] - 2)
    for name in ("input_ids", "attention_mask", "completion_mask"):
        assert torch.equal(cut[name], whole[name][:, :-2])
    assert torch.equal(cut["pixel_values"], whole["pixel_values"])


@pytest.mark.parametrize(
    ("made", "options", "message"),
    [
        (
            row(),
            {"max_length": 5},
            "the tokens of its images reach beyond `max_length=5`. Raise it, or make the images",
        ),
        (row(), {"max_length": 20}, "the prompt alone reaches beyond `max_length=20`"),
        (
            row(images=[PICTURE] * 2, prompt=[{"role": "user", "content": [{"type": "image"}]}]),
            {},
            "1 places for images",
        ),
        (row(rejected="no"), {}, "column `rejected`: expected messages as in `chosen` of the first row, got 'no'"),
        (row(prompt=[{"role": "system", "content": "x"}]), {}, "there are images but no user message to put them into"),
        (row(chosen=None), {}, "column `chosen`: expected a list of messages, got None"),
        ({"chosen": [GOOD], "rejected": [BAD], "images": [PICTURE]}, {}, "the conversations begin with different"),
        (
            {"prompt": "the", "chosen": " <image>", "rejected": " <image> x", "images": [PICTURE]},
            {},
            "the processor changes the answer, or it holds an image, so that its tokens cannot be found. Put all",
        ),
    ],
)
def test_wrong_rows_are_named(made, options, message):
    """Row, column, what is wrong and what to do."""
    with pytest.raises((ValueError, TypeError)) as error:
        collate(made, **options)
    assert message in str(error.value)
    assert str(error.value).startswith("batch row 0, column `")


def test_the_text_is_the_tokenizers():
    """Without images a batch of conversations has the tokens that the tokenizer alone gives."""
    batch = collate(row(images=None))
    tokenizer = tiny.tokenizer()
    for chat, ids, real in zip(([ASK, GOOD], [ASK, BAD]), batch["input_ids"], batch["attention_mask"], strict=True):
        text = tokenizer.apply_chat_template(chat, tokenize=False)
        assert ids[real == 1].tolist() == tokenizer(text)["input_ids"]
