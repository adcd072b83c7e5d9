"""The same rows give the same training, however they are laid out, accumulated, streamed or interrupted."""

import json
from pathlib import Path

import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost import SFTConfig, SFTTrainer

from .. import tiny

QUIET = dict(
    report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, learning_rate=1e-2, max_steps=4,
    per_device_train_batch_size=4, train_sampling_strategy="sequential", dataloader_pin_memory=False,
)  # fmt: skip


def trainer(path, rows=None, *, model=None, streaming=False, **options):
    dataset = Dataset.from_list(rows or tiny.conversations())
    if streaming:
        dataset = dataset.to_iterable_dataset()
    args = SFTConfig(output_dir=str(path), **QUIET | options)
    return SFTTrainer(model or tiny.model(), args, train_dataset=dataset, processing_class=tiny.tokenizer())


def train(path, rows=None, resume=None, **options):
    """Loss and gradient norm of every step."""
    made = trainer(path, rows, **options)
    made.train(resume)
    return tiny.losses(made)


def assert_same_run(ours, theirs, tolerance=1e-5):
    assert len(ours) == len(theirs) > 0
    for left, right in zip(ours, theirs, strict=True):
        assert left == pytest.approx(right, rel=tolerance)


@pytest.fixture(scope="module")
def padded_run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("padded"), padding_free=False)


def test_loss_falls(padded_run):
    """The run that the others are compared with learns something."""
    assert padded_run[-1][0] < padded_run[0][0] - 0.05


@pytest.mark.parametrize(
    "options",
    [
        {"padding_free": True},
        {"padding_free": None},
        {"padding_free": False, "pad_to_multiple_of": 16},
        {"padding_free": True, "pad_to_multiple_of": 16},
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "padding_free": False},
        {"streaming": True},
        {"streaming": True, "padding_free": False},
        {"gradient_checkpointing": True},
        {"gradient_checkpointing": True, "padding_free": False},
        {"activation_offloading": True},
    ],
    ids=str,
)
def test_same_training(tmp_path, padded_run, options):
    """Padding, accumulation, streaming and memory savers change neither loss nor gradient."""
    assert_same_run(train(tmp_path, **options), padded_run)


@pytest.mark.parametrize("loss_type", ["nll", "dft"])
def test_accumulating_eight_times_one_is_eight(tmp_path, loss_type):
    """Eight micro-batches of one row are one batch of eight, though their rows differ in learned tokens."""
    common = {"loss_type": loss_type, "assistant_only_loss": True, "max_steps": 3}
    one = train(tmp_path / "a", per_device_train_batch_size=8, **common)
    eight = train(tmp_path / "b", per_device_train_batch_size=1, gradient_accumulation_steps=8, **common)
    assert_same_run(eight, one)


def test_packed_is_padded(tmp_path):
    """A packed batch is the batch of its documents: same loss, same gradient."""
    rows = tiny.conversations(12)
    packed = trainer(tmp_path / "a", rows, packing=True, max_length=256, per_device_train_batch_size=64, max_steps=1)
    assert len(packed.train_dataset) < 12
    packed.train()
    padded = train(tmp_path / "b", rows, padding_free=False, per_device_train_batch_size=12, max_steps=1)
    assert_same_run(tiny.losses(packed), padded)


def test_streamed_packing_is_packing(tmp_path):
    """Packing a stream gives the training that packing a data set in memory gives."""
    options = {"packing": True, "max_length": 64, "max_steps": 3, "per_device_train_batch_size": 2}
    assert_same_run(train(tmp_path / "a", streaming=True, **options), train(tmp_path / "b", streaming=False, **options))


@settings(max_examples=12, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=2, max_size=6),
    assistant_only=st.booleans(),
    loss_type=st.sampled_from(["nll", "dft"]),
)
def test_layouts_agree_on_drawn_rows(tmp_path_factory, rows, assistant_only, loss_type):
    """Padded, end to end and packed agree on one step, whatever the lengths of prompts and answers."""
    words = tiny.WORDS * 2
    conversations = [
        {
            "messages": [
                {"role": "user", "content": " ".join(words[:ask])},
                {"role": "assistant", "content": " ".join(words[ask : ask + answer])},
            ]
        }
        for ask, answer in rows
    ]
    path = tmp_path_factory.mktemp("drawn")
    options = {
        "assistant_only_loss": assistant_only, "loss_type": loss_type, "max_steps": 1, "per_device_train_batch_size": 8,
        "max_length": 200,
    }  # fmt: skip
    padded = train(path, conversations, padding_free=False, **options)
    assert_same_run(train(path, conversations, padding_free=True, **options), padded)
    assert_same_run(train(path, conversations, packing=True, **options), padded)


@pytest.mark.parametrize(
    "options", [{}, {"packing": True, "max_length": 64, "per_device_train_batch_size": 2}], ids=str
)
def test_resume_is_the_uninterrupted_run(tmp_path, options):
    """From any checkpoint, shuffled and accumulated, the run goes on with the same losses and counts, step for step."""
    options = {
        "max_steps": 6,
        "save_strategy": "steps",
        "save_steps": 1,
        "train_sampling_strategy": "random",
        **options,
    }
    whole = trainer(tmp_path / "whole", gradient_accumulation_steps=2, **options)
    whole.train()
    lines = [line for line in whole.state.log_history if "loss" in line]
    for step in (1, 3, 5):
        resumed = trainer(tmp_path / "whole", gradient_accumulation_steps=2, **options)
        resumed.train(str(tmp_path / "whole" / f"checkpoint-{step}"))
        assert [line for line in resumed.state.log_history if "loss" in line] == lines


def test_resume_true_skips_an_interrupted_checkpoint(tmp_path):
    """A checkpoint whose writing was cut short is not resumed from; the one before it is."""
    options = {"save_strategy": "steps", "save_steps": 1, "max_steps": 3}
    whole = trainer(tmp_path, **options)
    whole.train()
    (tmp_path / "checkpoint-3" / "trainer_state.json").unlink()
    resumed = trainer(tmp_path, **options)
    resumed.train(True)
    assert tiny.losses(resumed) == tiny.losses(whole)
    assert json.loads((tmp_path / "checkpoint-3" / "trainer_state.json").read_text())["global_step"] == 3


def test_evaluation_loss_is_per_token(tmp_path):
    """The evaluation loss does not depend on how rows fall into batches."""
    rows = Dataset.from_list(tiny.conversations(10, seed=3))
    results = []
    for size in (1, 3, 10):
        made = trainer(tmp_path / str(size), per_device_eval_batch_size=size)
        results.append(made.evaluate(rows))
    for result in results[1:]:
        assert result["eval_loss"] == pytest.approx(results[0]["eval_loss"], rel=1e-5)
        assert result["eval_entropy"] == pytest.approx(results[0]["eval_entropy"], rel=1e-5)


def test_checkpoints_hold_the_tokens_seen(tmp_path):
    """`num_tokens` is the sum of all rows trained on, and a checkpoint knows it."""
    made = trainer(tmp_path, save_strategy="steps", save_steps=2, logging_steps=3, max_steps=4)
    made.train()
    seen = sum(len(row) for row in made.train_dataset["input_ids"][:8])
    state = json.loads(Path(tmp_path, "checkpoint-2", "trainer_state.json").read_text())
    assert state["num_input_tokens_seen"] == seen
