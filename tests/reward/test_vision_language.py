"""Pairs with images: the images reach the model, and a vision-language model gets a head."""

import pytest
import torch
from datasets import Dataset

from sternpost import RewardConfig, RewardTrainer
from sternpost.models.sequence_head import AutoSequenceScorer

from .. import tiny
from ..sft import test_vision_language as vision
from . import runs

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A tiny LLaVA, of which transformers has no sequence-classification model."""
    path = tmp_path_factory.mktemp("llava")
    processor = vision.processor()
    vision.model(processor).save_pretrained(path)
    processor.save_pretrained(path)
    return str(path)


def rows(form="explicit", count=8):
    made = []
    for at in range(count):
        ask = [{"role": "user", "content": "what stands still"}]
        says = [[{"role": "assistant", "content": word * (1 + at % 3)}] for word in ("ship ", "rest ")]
        row = {"images": [Image.new("RGB", (16, 16), (at * 30, 0, 100))], "margin": 0.1 * at}
        if form == "explicit":
            row |= {"prompt": ask, "chosen": says[0], "rejected": says[1]}
        elif form == "implicit":
            row |= {"chosen": ask + says[0], "rejected": ask + says[1]}
        else:
            row |= {"prompt": "<image> what", "chosen": " ship", "rejected": " rest" * (1 + at % 3)}
        made.append(row)
    return Dataset.from_list(made)


def trainer(out, path, form="explicit", **options):
    args = RewardConfig(str(out), **runs.QUIET | {"learning_rate": 0.1} | options)
    return RewardTrainer(path, args, train_dataset=rows(form), processing_class=vision.processor())


@pytest.mark.parametrize("form", ["explicit", "implicit", "text"])
def test_pairs_with_images_train(tmp_path, path, form):
    """In every format; the first loss is that of the model's own scores, and learning makes it smaller."""
    made = trainer(tmp_path, path, form, max_steps=6)
    batch = next(iter(made.get_train_dataloader()))
    assert batch["input_ids"].shape[0] == 8
    image = made.processing_class.tokenizer.convert_tokens_to_ids("<image>")
    assert (batch["input_ids"] == image).any(1).all()
    margin = batch.pop("margin")
    with torch.no_grad():
        chosen, rejected = made.model(**batch).logits[:, 0].chunk(2)
    made.train()
    expected = -torch.nn.functional.logsigmoid(chosen - rejected - margin).mean()
    assert made.state.log_history[0]["loss"] == pytest.approx(expected.item(), rel=1e-4)
    assert runs.lines(made)[-1]["loss"] < runs.lines(made)[0]["loss"]


def test_both_formats_make_the_same_batch(tmp_path, path):
    """A prompt of its own, or at the beginning of both answers."""
    made = [trainer(tmp_path, path, form) for form in ("explicit", "implicit")]
    ours, theirs = (next(iter(each.get_train_dataloader())) for each in made)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name])


def test_images_change_the_reward(tmp_path, path):
    """The pixels reach the model."""
    made = trainer(tmp_path, path)
    batch = next(iter(made.get_train_dataloader()))
    del batch["margin"]
    with torch.no_grad():
        seen = made.model(**batch).logits
        blind = made.model(**{**batch, "pixel_values": torch.zeros_like(batch["pixel_values"])}).logits
    assert not torch.allclose(seen, blind)


def test_reward_models_with_images_can_be_loaded_again(tmp_path, path):
    """`AutoSequenceScorer` loads what was saved."""
    made = trainer(tmp_path, path)
    made.train()
    made.save_model(str(tmp_path / "saved"))
    loaded = AutoSequenceScorer.from_pretrained(str(tmp_path / "saved"))
    batch = next(iter(made.get_train_dataloader()))
    del batch["margin"]
    made.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(**batch).logits, made.model(**batch).logits)


def test_text_alone_shares_its_beginning(tmp_path, path):
    """Pairs without images train on the same model, and what they share is computed once."""
    args = RewardConfig(str(tmp_path), **runs.QUIET)
    made = RewardTrainer(path, args, train_dataset=Dataset.from_list(runs.pairs()), processing_class=vision.processor())
    assert "seq_lengths" in next(iter(made.get_train_dataloader()))
    made.train()
    args.padding_free = False
    padded = RewardTrainer(
        path, args, train_dataset=Dataset.from_list(runs.pairs()), processing_class=vision.processor()
    )
    padded.train()
    runs.assert_same_run(made, padded)


def test_long_pairs_are_refused(tmp_path, path):
    """How many tokens an image takes is known when the batch is made; the error says which row is too long."""
    made = trainer(tmp_path, path, max_length=8)
    with pytest.raises(ValueError, match=r"column `chosen`: \d+ tokens with prompt and images, more than `max_length"):
        made.train()


def test_images_need_a_processor(tmp_path):
    """Rows with images and only a tokenizer are refused."""
    with pytest.raises(ValueError, match="Pass a processor"):
        RewardTrainer(
            runs.reward_model(), RewardConfig(str(tmp_path)), train_dataset=rows(), processing_class=tiny.tokenizer()
        )
