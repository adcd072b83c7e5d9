"""The names in the log: what dashboards, callbacks and sweeps read by string."""

import math

import pytest

from sternpost.sft import contract

TRAIN = {"grad_norm", "learning_rate", "epoch", "step"}
"""What transformers adds to a training line besides the loss; `step` in the history only."""
EVAL = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "epoch", "step"}
"""What transformers adds to an evaluation line."""
SUMMARY = "train_runtime"
"""A line that holds this is the summary of the run, which is all transformers' own."""
DENSE = set(contract.METRICS) - {"aux_loss"}


@pytest.fixture
def history(make_trainer, conversations):
    """The log of a run of two steps with an evaluation after each."""
    trainer = make_trainer(conversations, conversations[:5], max_steps=2, eval_strategy="steps", eval_steps=1)
    trainer.train()
    return trainer.state.log_history


def test_names_of_training_lines(history):
    """S11. A training line has the metrics of the contract and transformers' own, by exactly these names."""
    lines = [line for line in history if "loss" in line]
    assert len(lines) == 2
    for line in lines:
        assert set(line) == DENSE | TRAIN


def test_names_of_evaluation_lines(history):
    """S12. An evaluation line has the metrics of the contract with the prefix `eval_`, and transformers' own."""
    lines = [line for line in history if "eval_loss" in line]
    assert len(lines) == 2
    for line in lines:
        assert set(line) == {f"eval_{name}" for name in DENSE} | EVAL


def test_there_are_no_other_lines(history):
    """S11. Besides training and evaluation lines there is the summary at the end."""
    assert [line for line in history if "loss" not in line and "eval_loss" not in line] == [history[-1]]
    assert SUMMARY in history[-1]


def test_prefixes_of_evaluation(make_trainer, conversations):
    """S12. `evaluate` returns the metrics with the prefix it is given; several data sets add their names."""
    trainer = make_trainer(conversations, {"easy": conversations[:3], "hard": conversations[3:]})
    returned = trainer.evaluate()
    for name in ("easy", "hard"):
        assert {f"eval_{name}_{metric}" for metric in DENSE} <= set(returned)
    returned = trainer.evaluate(trainer.eval_dataset["easy"], metric_key_prefix="test")
    own = {key for key in returned if not key.startswith("test_") and key != "epoch"}
    assert ({f"test_{metric}" for metric in DENSE} <= set(returned), own) == (True, set())


def test_mixture_of_experts_adds_its_loss(make_trainer, conversations, model_path, mixture_of_experts):
    """S13. `aux_loss` is logged for mixture-of-experts models, in training and in evaluation, and for no others."""
    from transformers import AutoTokenizer

    trainer = make_trainer(
        conversations, conversations[:3], model=mixture_of_experts,
        processing_class=AutoTokenizer.from_pretrained(model_path), router_aux_loss_coef=0.01, eval_strategy="steps",
        eval_steps=1,
    )  # fmt: skip
    trainer.train()
    train, evaluation = trainer.state.log_history[:2]
    assert set(train) == set(contract.METRICS) | TRAIN
    assert set(evaluation) == {f"eval_{name}" for name in contract.METRICS} | EVAL


def test_meaning(history, model_path):
    """S14. `loss` and `entropy` are in nats per learned token, `mean_token_accuracy` is a fraction, `num_tokens` the
    count of tokens since the run began, the same on the evaluation line that follows."""
    from transformers import AutoConfig

    train = [line for line in history if "loss" in line]
    evaluation = [line for line in history if "eval_loss" in line]
    for line in train:
        assert math.isfinite(line["loss"])
        assert 0 <= line["entropy"] <= math.log(AutoConfig.from_pretrained(model_path).vocab_size)
        assert 0 <= line["mean_token_accuracy"] <= 1
        assert isinstance(line["num_tokens"], int)
    assert 0 < train[0]["num_tokens"] < train[1]["num_tokens"]
    assert [line["num_tokens"] for line in train] == [line["eval_num_tokens"] for line in evaluation]


def test_num_tokens_leaves_padding_out(make_trainer, conversations):
    """S14. `num_tokens` counts the tokens of the rows and no padding, in either layout."""
    counts = []
    for padding_free in (False, True):
        trainer = make_trainer(conversations[:3], padding_free=padding_free)
        trainer.train()
        counts.append(trainer.state.log_history[0]["num_tokens"])
        assert counts[-1] == sum(len(row) for row in trainer.train_dataset["input_ids"])
    assert counts[0] == counts[1]
