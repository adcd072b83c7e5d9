"""Every metric is what its definition says, whatever the layout, the accumulation and the log interval."""

import pytest
from datasets import Dataset

from . import naive, runs
from .runs import lines, make, train


def reference():
    return runs.policy(seed=7)


@pytest.mark.parametrize("padding_free", [True, False])
def test_training_line(tmp_path, padding_free):
    """The first line holds the metrics of the first batch under the weights that the policy starts with."""
    trainer = train(tmp_path, ref_model=reference(), max_steps=1, beta=0.2, padding_free=padding_free)
    expected = naive.metrics(runs.policy(), reference(), trainer.train_dataset.to_list()[:4], beta=0.2)
    (line,) = lines(trainer)
    for name, value in expected.items():
        assert line[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    assert 0 < expected["rewards/accuracies"] < 1
    assert expected["mean_token_accuracy"] < 1
    assert set(expected) | {"num_tokens", "grad_norm", "learning_rate", "epoch", "step"} == set(line)


@pytest.mark.parametrize("padding_free", [True, False])
def test_evaluation(tmp_path, padding_free):
    """An evaluation has the metrics of all its pairs, by the same definitions."""
    rows = Dataset.from_list(runs.pairs(9, seed=2))
    trainer = make(tmp_path, ref_model=reference(), padding_free=padding_free, per_device_eval_batch_size=4)
    result = trainer.evaluate(rows)
    tokens = trainer.prepare_dataset(rows, trainer.processing_class, trainer.args, "eval").to_list()
    for name, value in naive.metrics(runs.policy(), reference(), tokens).items():
        assert result[f"eval_{name}"] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_metrics_of_several_steps(tmp_path):
    """A line is the mean over all pairs since the last one, not of batches: here of 4 and of 2 pairs."""
    options = {"learning_rate": 0.0, "max_steps": 2, "logging_steps": 2, "beta": 0.5}
    trainer = train(tmp_path, runs.pairs(6), ref_model=reference(), **options)
    expected = naive.metrics(runs.policy(), reference(), trainer.train_dataset.to_list())
    (line,) = lines(trainer)
    for name, value in expected.items():
        if name != "loss":  # transformers averages it over optimizer steps
            assert line[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


def test_tokens_seen(tmp_path):
    """`num_tokens` counts a shared prompt once, a written-out one twice, and no padding; a checkpoint knows it."""
    for padding_free in (True, False):
        options = {"save_strategy": "steps", "save_steps": 2, "logging_steps": 3, "padding_free": padding_free}
        trainer = train(tmp_path / str(padding_free), **options)
        prompts, *answers = (sum(map(len, trainer.train_dataset[name])) for name in trainer.train_dataset.column_names)
        (line,) = lines(trainer)
        assert line["num_tokens"] == prompts * (1 if padding_free else 2) + sum(answers)
        first = trainer.train_dataset.select(range(8))
        prompts, *answers = (sum(map(len, first[name])) for name in first.column_names)
        resumed = make(tmp_path / str(padding_free), **options)
        resumed.train(str(tmp_path / str(padding_free) / "checkpoint-2"))
        assert lines(resumed)[-1]["num_tokens"] == line["num_tokens"]
        assert trainer.state.num_input_tokens_seen == line["num_tokens"]


def test_weights_do_not_change_what_is_counted(tmp_path):
    """`ld_alpha` is part of the log-probabilities and rewards, not of entropy, accuracy and logits."""
    plain, weighted = (
        lines(train(tmp_path / str(alpha), ref_model=reference(), max_steps=1, ld_alpha=alpha))[0]
        for alpha in (None, 0.25)
    )
    for name in ("entropy", "mean_token_accuracy", "logits/chosen", "logits/rejected", "num_tokens"):
        assert weighted[name] == pytest.approx(plain[name], rel=1e-6)
    for name in ("logps/chosen", "logps/rejected", "rewards/chosen", "loss"):
        assert weighted[name] != pytest.approx(plain[name], rel=1e-3)
