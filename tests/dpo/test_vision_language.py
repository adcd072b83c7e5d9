"""Pairs with images: the pixels reach policy and reference, and metrics are those of the model's own logits."""

import pytest
import torch
from datasets import Dataset

from sternpost import DPOConfig, DPOTrainer

from .. import tiny
from ..sft import test_vision_language as vision
from . import runs
from .runs import lines

Image = pytest.importorskip("PIL.Image")


def rows(count: int = 8) -> Dataset:
    made = []
    for i in range(count):
        ask, good, bad = (
            {"role": "user", "content": "what stands still"},
            {"role": "assistant", "content": "ship " * (1 + i % 3)},
            {"role": "assistant", "content": "the rest " * (1 + i % 2)},
        )
        picture = Image.new("RGB", (16, 16), (i * 30, 0, 100))
        made.append({"prompt": [ask], "chosen": [good], "rejected": [bad], "images": [picture]})
    return Dataset.from_list(made)


def model(seed: int):
    made = vision.model(vision.processor())
    torch.manual_seed(seed)
    return runs.enlarge(made)


def trainer(path, train_dataset=None, **given) -> DPOTrainer:
    arguments = {name: given.pop(name) for name in ("ref_model", "peft_config", "eval_dataset") if name in given}
    options = runs.QUIET | {"per_device_train_batch_size": 2, "beta": 0.1} | given
    return DPOTrainer(
        model(0),
        args=DPOConfig(str(path), **options),
        train_dataset=rows() if train_dataset is None else train_dataset,
        processing_class=vision.processor(),
        **arguments,
    )


def test_metrics_are_the_models_own(tmp_path):
    """Log-probabilities and rewards of the first step equal those from whole logits; then the model learns."""
    made = trainer(tmp_path, ref_model=model(1))
    batch = dict(next(iter(made.get_train_dataloader())))
    mask = batch.pop("completion_mask")[:, 1:]
    logps = []
    with torch.no_grad():
        for seed in (0, 1):
            logits = model(seed)(**batch).logits[:, :-1].log_softmax(-1)
            logps.append((logits.gather(-1, batch["input_ids"][:, 1:, None])[..., 0] * mask).sum(1))
    made.train()
    line = lines(made)[0]
    for at, side in enumerate(("chosen", "rejected")):
        policy, reference = (each[2 * at : 2 * at + 2] for each in logps)
        assert line[f"logps/{side}"] == pytest.approx(float(policy.mean()), rel=1e-4)
        assert line[f"rewards/{side}"] == pytest.approx(0.1 * float((policy - reference).mean()), rel=1e-3, abs=1e-5)
    assert line["grad_norm"] > 0


def test_images_change_the_rewards(tmp_path):
    """The pixels reach the model: other images, other log-probabilities."""
    seen = trainer(tmp_path, max_steps=1)
    seen.train()
    blind = rows().map(lambda row: {"images": [Image.new("RGB", (16, 16), "black")]})
    unseen = trainer(tmp_path, blind, max_steps=1)
    unseen.train()
    assert lines(seen)[0]["logps/chosen"] != lines(unseen)[0]["logps/chosen"]
    assert lines(seen)[0]["loss"] == lines(unseen)[0]["loss"]  # policy and reference still agree


@pytest.mark.parametrize("adapter", [False, True])
def test_reference_sees_the_images(tmp_path, adapter):
    """At first policy and reference agree, with a second model and with an adapter; an evaluation follows."""
    peft = pytest.importorskip("peft")
    given = {}
    if adapter:
        targets = r".*language_model.*(q_proj|v_proj)"
        given["peft_config"] = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=targets, r=4)
    made = trainer(tmp_path, eval_dataset=rows(3), learning_rate=1.0, **given)
    assert (made.ref_model is None) is adapter
    assert made.evaluate()["eval_rewards/margins"] == pytest.approx(0, abs=1e-5)
    made.train()
    assert lines(made)[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert abs(lines(made)[2]["rewards/margins"]) > 1e-3
    assert made.evaluate(rows(3))["eval_rewards/margins"] != 0


def test_accumulation_and_streams(tmp_path):
    """Micro-batches of one pair are a batch of two, also streamed."""
    whole = trainer(tmp_path / "a")
    whole.train()
    stream = rows().to_iterable_dataset()
    parts = trainer(tmp_path / "b", stream, per_device_train_batch_size=1, gradient_accumulation_steps=2)
    parts.train()
    runs.assert_same_run(parts, whole, 1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"truncation_mode": "keep_end"},
            '`truncation_mode="keep_end"` would cut the images off, which come first. Use',
        ),
        ({"precompute_ref_log_probs": True}, "needs rows of text in memory, but the train pairs are images. Leave it"),
        ({"padding_free": True}, "`padding_free=True` lays pairs end to end, which images, "),
    ],
)
def test_options_that_images_do_not_allow(tmp_path, options, message):
    """Each is refused with what to do, before anything is trained."""
    with pytest.raises(ValueError) as error:
        trainer(tmp_path, **options)
    assert message in str(error.value)


def test_images_need_a_processor(tmp_path):
    """Rows with images and only a tokenizer are refused."""
    with pytest.raises(ValueError, match="Pass a processor, or remove the column"):
        DPOTrainer(tiny.model(), args=DPOConfig(str(tmp_path)), train_dataset=rows(), processing_class=tiny.tokenizer())


def test_pictures_in_the_evaluation_only(tmp_path):
    """Evaluation rows with images do not fit training rows without."""
    text = Dataset.from_list(runs.pairs(4))
    with pytest.raises(ValueError, match="has a column of images, but"):
        runs.make(tmp_path, text, eval_dataset=rows(2))
