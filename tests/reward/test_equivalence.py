"""The same pairs give the same training, however they are laid out, accumulated, streamed or interrupted."""

import json
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.reward.loss import bradley_terry

from .. import tiny
from . import runs
from .runs import assert_same_run, lines, make, train

ROWS = runs.with_margins(runs.pairs())
COMMON = {"rows": ROWS, "center_rewards_coefficient": 0.05}


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("plain"), padding_free=False, **COMMON)


def test_loss_falls(plain_run, tmp_path):
    """The run that the others are compared with learns something."""
    rows = Dataset.from_list(ROWS)
    start = make(tmp_path, **COMMON).evaluate(rows)
    assert plain_run.evaluate(rows)["eval_loss"] < start["eval_loss"] - 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"padding_free": True},
        {"padding_free": None},
        {"padding_free": True, "pad_to_multiple_of": 64},
        {"padding_free": False, "pad_to_multiple_of": 64},
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "padding_free": False},
        {"gradient_checkpointing": True},
        {"gradient_checkpointing": True, "padding_free": False},
        {"activation_offloading": True},
    ],
    ids=str,
)
def test_same_training(tmp_path, plain_run, options):
    """Layout, padding, accumulation and memory savers change neither loss, gradient, metrics nor weights."""
    assert_same_run(train(tmp_path, **COMMON, **options), plain_run)


@pytest.mark.parametrize("padding_free", [True, False])
def test_streams_are_data_sets(tmp_path, plain_run, padding_free):
    """Streamed pairs give the training that pairs in memory give."""
    rows = Dataset.from_list(ROWS).to_iterable_dataset()
    ours = train(tmp_path, rows=rows, padding_free=padding_free, center_rewards_coefficient=0.05)
    assert_same_run(ours, plain_run)


def test_unequal_accumulation(tmp_path):
    """A last window of fewer micro-batches counts each of its pairs as much as a batch of that size would."""
    rows = runs.pairs(11)
    options = {"rows": rows, "max_steps": 2, "gradient_accumulation_steps": 2}
    accumulated = train(tmp_path / "a", per_device_train_batch_size=4, **options)
    options["gradient_accumulation_steps"] = 1
    assert_same_run(accumulated, train(tmp_path / "b", per_device_train_batch_size=8, **options))


@settings(max_examples=10, deadline=None)
@given(
    lengths=st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=2, max_size=5),
    chats=st.booleans(),
    weight=st.none() | st.floats(0.01, 0.2),
)
def test_layouts_agree_on_drawn_pairs(tmp_path_factory, lengths, chats, weight):
    """Whatever the lengths of prompts and answers."""
    words = tiny.WORDS * 2
    rows = [
        {
            "prompt": " ".join(words[: 1 + prompt]),
            "chosen": " " + " ".join(words[prompt : prompt + chosen + 1]),
            "rejected": " " + " ".join(words[::-1][: rejected + 1]),
        }
        for prompt, chosen, rejected in lengths
    ]
    rows = runs.as_chats(rows) if chats else rows
    path = tmp_path_factory.mktemp("drawn")
    options = {"rows": rows, "max_steps": 1, "center_rewards_coefficient": weight, "per_device_train_batch_size": 8}
    assert_same_run(train(path, padding_free=True, **options), train(path, padding_free=False, **options))


@pytest.mark.parametrize("padding_free", [True, False])
def test_resumed_is_uninterrupted(tmp_path, padding_free):
    """A run goes on from a checkpoint with the losses, metrics and weights of the run that was not interrupted."""
    options = {**COMMON, "padding_free": padding_free, "optim": "adamw_torch", "learning_rate": 1e-3, "max_steps": 4}
    options |= {"save_strategy": "steps", "save_steps": 2}
    whole = train(tmp_path / "a", **options)
    again = train(tmp_path / "a", resume=str(tmp_path / "a" / "checkpoint-2"), **options)
    assert_same_run(again, whole)
    assert lines(again)[-1]["num_tokens"] == lines(whole)[-1]["num_tokens"]


def test_evaluation_does_not_depend_on_the_batch_size(tmp_path):
    """Loss and metrics are those of all pairs, in batches of any size and either layout."""
    rows = Dataset.from_list(runs.pairs(7, seed=3))
    results = [
        make(tmp_path, per_device_eval_batch_size=size, padding_free=free).evaluate(rows)
        for size, free in ((1, True), (3, False), (7, True))
    ]
    for result in results[1:]:
        for name in ("loss", "accuracy", "margin", "min_reward", "mean_reward", "max_reward"):
            assert result[f"eval_{name}"] == pytest.approx(results[0][f"eval_{name}"], rel=1e-4), name


def test_metrics_are_those_of_the_pairs(tmp_path):
    """Every metric of an evaluation, against the rewards that the model gives to each answer by itself."""
    trainer = make(tmp_path)
    model, tokenizer = runs.reward_model(), tiny.tokenizer()
    model.config.pad_token_id = tokenizer.pad_token_id
    rows = runs.pairs(5, seed=4)

    def reward(row, side):
        ids = torch.tensor([tokenizer(row["prompt"] + row[side])["input_ids"] + [tokenizer.eos_token_id]])
        return model(ids).logits[0, 0].detach().double()

    chosen, rejected = (torch.stack([reward(row, side) for row in rows]) for side in ("chosen", "rejected"))
    both = torch.cat([chosen, rejected])
    losses = -torch.log(torch.sigmoid(chosen - rejected))
    expected = {
        "loss": losses.mean(), "accuracy": (chosen > rejected).double().mean(), "margin": (chosen - rejected).mean(),
        "min_reward": both.min(), "mean_reward": both.mean(), "max_reward": both.max(),
    }  # fmt: skip
    result = trainer.evaluate(Dataset.from_list(rows))
    for name, value in expected.items():
        assert result[f"eval_{name}"] == pytest.approx(value.item(), rel=1e-4), name


def test_outputs_are_alike_in_both_layouts(tmp_path):
    """`compute_loss(..., return_outputs=True)`, for who overrides it: logits of chosen answers, then the others."""
    logits = []
    for free in (True, False):
        trainer = make(tmp_path, padding_free=free, pad_to_multiple_of=64)
        batch = next(iter(trainer.get_train_dataloader()))
        logits.append(trainer.compute_loss(trainer.model, batch, return_outputs=True)[1].logits)
    assert logits[0].shape == (8, 1)
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)


def test_extremes_are_those_of_all_steps_logged(tmp_path):
    """A log line of several steps holds the smallest and the largest reward among them, and means over all pairs."""
    often = lines(train(tmp_path / "a", logging_steps=1))
    once = lines(train(tmp_path / "b", logging_steps=3))[0]
    assert once["min_reward"] == min(line["min_reward"] for line in often)
    assert once["max_reward"] == max(line["max_reward"] for line in often)
    assert once["margin"] == pytest.approx(sum(line["margin"] for line in often) / 3, rel=1e-5)


def test_own_loss_replaces_ours(tmp_path, plain_run):
    """`loss_fn` gets the rewards and margins of the pairs; the same formula gives the same training."""
    ours = train(tmp_path, rows=ROWS, loss_fn=lambda p: bradley_terry(p) + 0.05 * (p.chosen + p.rejected) ** 2)
    assert_same_run(ours, plain_run)


def test_checkpoints_hold_the_tokens_seen(tmp_path):
    """`num_tokens` is the sum over all pairs trained on, beginnings that are shared once, and a checkpoint knows it."""
    made = train(tmp_path, save_strategy="steps", save_steps=2, logging_steps=3, max_steps=2)
    seen = sum(sum(made.data_collator([row])["seq_lengths"][0]) for row in list(made.train_dataset)[:8])
    state = json.loads(Path(tmp_path, "checkpoint-2", "trainer_state.json").read_text())
    assert state["num_input_tokens_seen"] == seen
