"""The same pairs give the same training, however they are laid out, accumulated, streamed or interrupted."""

import math
from typing import get_args

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.dpo.contract import LossType
from sternpost.dpo.data import DataCollatorForPreference

from .. import tiny
from . import runs
from .runs import LOSS_OPTIONS, assert_same_losses, assert_same_run, lines, make, train

SEVERAL = {"loss_type": ["sigmoid", "sft", "bco_pair"], "loss_weights": [1.0, 0.3, 0.5]}
"""Losses that need to know the whole optimizer step, and the ones before it."""
VARIANTS = {
    "plain": {},
    "several losses": SEVERAL,
    "length-normalised": {"loss_type": ["ipo", "sigmoid_norm"], "beta": 2.0},
    "long answers count less": {"ld_alpha": 0.3},
    "weighted": {"use_weighting": True},
    "cut": {"max_length": 9},
    "cut at the start": {"max_length": 9, "truncation_mode": "keep_end"},
    "other divergence": {"f_divergence_type": "js_divergence", "label_smoothing": 0.2},
}
SORTING = ("aot", "aot_unpaired")


def reference():
    return runs.policy(seed=7)


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("plain"), ref_model=reference())


def test_loss_falls(plain_run):
    """The run that the others are compared with learns something."""
    rows = Dataset.from_list(runs.pairs())
    start = make(plain_run.args.output_dir, ref_model=reference()).evaluate(rows)
    assert plain_run.evaluate(rows)["eval_loss"] < start["eval_loss"] - 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"padding_free": True},
        {"padding_free": False},
        {"padding_free": True, "pad_to_multiple_of": 64},
        {"padding_free": False, "pad_to_multiple_of": 64},
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "padding_free": False},
        {"gradient_checkpointing": True},
        {"gradient_checkpointing": True, "padding_free": False},
        {"activation_offloading": True},
        {"precompute_ref_log_probs": True},
        {"precompute_ref_log_probs": True, "precompute_ref_batch_size": 5, "padding_free": False},
    ],
    ids=str,
)
def test_same_training(tmp_path, plain_run, options):
    """Layout, padding, accumulation, memory savers and a precomputed reference change neither loss nor weights."""
    assert_same_run(train(tmp_path, ref_model=reference(), **options), plain_run)


@pytest.mark.parametrize("padding_free", [True, False])
def test_streamed_pairs(tmp_path, plain_run, padding_free):
    """A stream trains as the same rows in memory do."""
    stream = Dataset.from_list(runs.pairs()).to_iterable_dataset()
    assert_same_run(train(tmp_path, stream, ref_model=reference(), padding_free=padding_free), plain_run)


def test_conversations_and_tokens(tmp_path):
    """Conversations, whether their prompt is explicit or not, and their tokens are the same training."""
    chats = runs.as_chats(runs.pairs())
    implicit = [{side: row["prompt"] + row[side] for side in ("chosen", "rejected")} for row in chats]
    first = train(tmp_path / "a", chats, ref_model=reference())
    assert_same_run(train(tmp_path / "b", implicit, ref_model=reference()), first)
    assert_same_run(train(tmp_path / "c", first.train_dataset.to_list(), ref_model=reference()), first)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "plain"])
def test_layouts_agree(tmp_path, name):
    """Prompts shared, written out, and one pair at a time give the same losses, gradients and weights."""
    options = {"ref_model": reference(), "max_steps": 2, **VARIANTS[name]}
    shared = train(tmp_path / "a", padding_free=True, **options)
    options["ref_model"] = reference()
    assert_same_run(train(tmp_path / "b", padding_free=False, pad_to_multiple_of=8, **options), shared)
    options |= {"ref_model": reference(), "per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}
    assert_same_run(train(tmp_path / "c", **options), shared)


def test_options_make_a_difference(tmp_path, plain_run):
    """Each variant that the layouts agree on is another training than the plain one."""
    plain = tiny.losses(plain_run)[0]
    for name, options in VARIANTS.items():
        if name != "plain":
            other = train(tmp_path / name, ref_model=reference(), max_steps=1, **options)
            assert tiny.losses(other)[0] != pytest.approx(plain, rel=1e-3), name


@pytest.fixture(scope="module")
def any_trainer(tmp_path_factory):
    return make(tmp_path_factory.mktemp("any"), ref_model=reference())


LENGTHS = st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(1, 9))


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(LENGTHS, min_size=1, max_size=5),
    cut=st.sampled_from([{}, {"max_length": 8}, {"max_length": 8, "truncation_mode": "keep_end"}]),
    variant=st.sampled_from([{}, SEVERAL, {"ld_alpha": 0.5}, {"use_weighting": True}, {"loss_type": ["ipo"]}]),
    seed=st.integers(0, 99),
)
def test_layouts_agree_on_drawn_pairs(any_trainer, lengths, cut, variant, seed):
    """Whatever the lengths of prompts and answers, also for prompts of no token: the same loss and gradient."""
    torch.manual_seed(seed)
    rows = [
        {
            name: torch.randint(3, 290, (length,)).tolist()
            for name, length in zip(("prompt_ids", "chosen_ids", "rejected_ids"), row, strict=True)
        }
        for row in lengths
    ]
    args = any_trainer.args
    usual = {"loss_type": ["sigmoid"], "loss_weights": None, "ld_alpha": None, "use_weighting": False}
    results = []
    for padding_free in (True, False):
        batch = DataCollatorForPreference(pad_token_id=0, padding_free=padding_free, **cut)(rows)
        any_trainer.model.zero_grad()
        vars(args).update(usual | variant)
        loss = any_trainer.compute_loss(any_trainer.model, batch)
        loss.backward()
        results.append((loss.detach(), [weight.grad.clone() for weight in any_trainer.model.parameters()]))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-4)


# ---- What the loss does not depend on


@pytest.mark.parametrize("name", get_args(LossType))
def test_reference_equal_to_the_policy(tmp_path, name):
    """At the start policy and reference agree: DPO's loss is log 2, every other loss has its value at zero."""
    at_zero = {
        "sigmoid": math.log(2), "robust": math.log(2), "sigmoid_norm": math.log(2), "aot": math.log(2),
        "aot_unpaired": math.log(2), "hinge": 1.0, "ipo": 1.0, "sppo_hard": 2.0, "nca_pair": 2 * math.log(2),
        "bco_pair": 2 * math.log(2), "apo_zero": 1.0, "apo_down": 1.0, "discopop": (math.log(2) + 1) / 2,
        "exo_pair": math.log(0.5) - (math.log(0.9) + math.log(0.1)) / 2,
    }  # fmt: skip
    trainer = train(tmp_path, loss_type=name, max_steps=1, **LOSS_OPTIONS.get(name, {}))
    (line,) = lines(trainer)
    if name == "sft":
        at_zero["sft"] = -line["logps/chosen"] / mean_length(trainer.train_dataset["chosen_ids"][:4])
    assert line["loss"] == pytest.approx(at_zero[name], rel=1e-6)
    assert line["rewards/margins"] == line["rewards/chosen"] == line["rewards/rejected"] == 0
    assert line["grad_norm"] > 0


def mean_length(rows) -> float:
    return sum(map(len, rows)) / len(rows)


def test_order_of_pairs(tmp_path):
    """A batch has the loss and gradient of its pairs in any order."""
    rows = runs.pairs(8)
    options = {"per_device_train_batch_size": 8, "max_steps": 1, **SEVERAL}
    forwards = train(tmp_path / "a", rows, ref_model=reference(), **options)
    backwards = train(tmp_path / "b", rows[::-1], ref_model=reference(), **options)
    assert_same_run(backwards, forwards)


def test_length_of_other_prompts(tmp_path):
    """A pair's reward is its own, however long the prompts beside it are."""
    short, long = runs.pairs(2, longest=5)
    long["prompt"] = "the rest of the ship " * 12
    metrics = []
    for rows in ([short], [long], [short, long]):
        trainer = make(tmp_path, rows, ref_model=reference(), per_device_eval_batch_size=2)
        metrics.append(trainer.evaluate(Dataset.from_list(rows)))
    for name in ("loss", "rewards/chosen", "rewards/rejected", "logps/chosen"):
        both = (metrics[0][f"eval_{name}"] + metrics[1][f"eval_{name}"]) / 2
        assert metrics[2][f"eval_{name}"] == pytest.approx(both, rel=1e-5)


def test_evaluation_does_not_depend_on_batches(tmp_path):
    """Every metric is per pair or per token, however the pairs fall into batches."""
    rows = Dataset.from_list(runs.pairs(10, seed=3))
    options = {"ref_model": reference(), "loss_type": ["sigmoid", "bco_pair"]}
    results = [make(tmp_path, per_device_eval_batch_size=size, **options).evaluate(rows) for size in (1, 3, 10)]
    names = [name for name in results[0] if "/" in name]
    for result in results[1:]:
        for name in (*names, "eval_loss", "eval_entropy", "eval_mean_token_accuracy"):
            assert result[name] == pytest.approx(results[0][name], rel=1e-5), name
    assert len(names) == 8


# ---- Accumulation


@pytest.mark.parametrize(
    ("batch", "micro", "steps", "count"),
    [(8, 1, 8, 16), (8, 4, 2, 15), (8, 2, 4, 10), (9, 3, 3, 10)],
    ids=["even", "uneven in the last window", "short last window", "one pair left"],
)
def test_accumulating_is_a_larger_batch(tmp_path, batch, micro, steps, count):
    """Micro-batches are one batch, though their pairs differ in number and length: losses, weights and metrics."""
    rows = runs.pairs(count)
    options = {"max_steps": -1, "num_train_epochs": 2, **SEVERAL}
    whole = train(tmp_path / "a", rows, ref_model=reference(), per_device_train_batch_size=batch, **options)
    options |= {"per_device_train_batch_size": micro, "gradient_accumulation_steps": steps}
    parts = train(tmp_path / "b", rows, ref_model=reference(), **options)
    assert_same_run(parts, whole)
    assert len(lines(whole)) == 4
    for left, right in zip(lines(parts), lines(whole), strict=True):
        del left["epoch"], right["epoch"]  # transformers counts micro-batches
        assert left == pytest.approx(right, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in get_args(LossType) if name not in SORTING])
def test_every_loss_accumulates(tmp_path, name):
    """Two micro-batches of two pairs are one of four, for every loss but those that sort."""
    options = {"loss_type": name, "max_steps": 2, **LOSS_OPTIONS.get(name, {})}
    whole = train(tmp_path / "a", ref_model=reference(), **options)
    options |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    assert_same_losses(train(tmp_path / "b", ref_model=reference(), **options), whole)


@pytest.mark.parametrize("name", SORTING)
def test_losses_that_sort_see_their_micro_batch(tmp_path, name):
    """The exception: accumulated, the loss is the mean of what each micro-batch has by itself."""
    rows = runs.pairs(12)
    options = {"loss_type": name, "max_steps": 1, "per_device_train_batch_size": 3, "beta": 0.05}
    alone = [
        tiny.losses(train(tmp_path / str(at), rows[at : at + 3], ref_model=reference(), **options))[0][0]
        for at in range(0, 12, 3)
    ]
    parts = train(tmp_path / "parts", rows, ref_model=reference(), gradient_accumulation_steps=4, **options)
    assert tiny.losses(parts)[0][0] == pytest.approx(sum(alone) / 4, rel=1e-5)
    whole = train(tmp_path / "whole", rows, ref_model=reference(), **options | {"per_device_train_batch_size": 12})
    assert tiny.losses(whole)[0][0] != pytest.approx(sum(alone) / 4, rel=1e-3)


# ---- Interruption


RESUMED = {
    "plain": {},
    "running mean": SEVERAL,
    "reference that follows": {"sync_ref_model": True, "ref_model_sync_steps": 2, **SEVERAL},
    "precomputed": {"precompute_ref_log_probs": True},
}


@pytest.mark.parametrize("name", RESUMED)
def test_resume_is_the_uninterrupted_run(tmp_path, name):
    """From any checkpoint, shuffled and accumulated, the run goes on with the same lines."""
    options = {
        "max_steps": 5, "save_strategy": "steps", "save_steps": 1, "train_sampling_strategy": "random",
        "gradient_accumulation_steps": 2, "per_device_train_batch_size": 2, "optim": "adamw_torch",
        "learning_rate": 1e-2, **RESUMED[name],
    }  # fmt: skip
    whole = train(tmp_path, **options)
    for step in (1, 3):
        resumed = train(tmp_path, resume=str(tmp_path / f"checkpoint-{step}"), **options)
        assert lines(resumed) == lines(whole)
        torch.testing.assert_close(runs.weights(resumed.model), runs.weights(whole.model), rtol=0, atol=0)


@pytest.mark.parametrize("given", [False, True], ids=["new adapter", "given adapter"])
def test_resume_with_an_adapter_that_the_reference_follows(tmp_path, given):
    """The adapter `ref` is in the checkpoint, and goes on from there."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4)

    def start():
        if not given:
            return {"peft_config": config}
        torch.manual_seed(1)
        return {"model": runs.enlarge(peft.get_peft_model(runs.policy(), config))}

    options = {
        "max_steps": 5, "save_strategy": "steps", "save_steps": 1, "optim": "adamw_torch", "learning_rate": 1e-2,
        "sync_ref_model": True, "ref_model_sync_steps": 2,
    }  # fmt: skip
    whole = train(tmp_path, **start(), **options)
    assert [line["rewards/margins"] == 0 for line in lines(whole)] == [True, False, False, False, False]
    for step in (1, 3):
        resumed = train(tmp_path, resume=str(tmp_path / f"checkpoint-{step}"), **start(), **options)
        assert lines(resumed) == lines(whole)


def test_without_its_state_a_resumed_run_would_differ(tmp_path):
    """What a checkpoint holds besides the policy is needed: without the file the run is another one."""
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, **RESUMED["reference that follows"]}
    whole = train(tmp_path, **options)
    (tmp_path / "checkpoint-2" / "dpo_state.pt").unlink()
    resumed = train(tmp_path, resume=str(tmp_path / "checkpoint-2"), **options)
    assert tiny.losses(resumed)[:2] == tiny.losses(whole)[:2]
    assert tiny.losses(resumed)[2] != pytest.approx(tiny.losses(whole)[2], rel=1e-3)
