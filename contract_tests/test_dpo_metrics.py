"""The names in the log of preference learning: what dashboards, callbacks and sweeps read by string."""

import math

import pytest

from sternpost.dpo import contract

TRAIN = {"grad_norm", "learning_rate", "epoch", "step"}
"""What transformers adds to a training line besides the loss; `step` in the history only."""
EVAL = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "epoch", "step"}
"""What transformers adds to an evaluation line."""
DENSE = set(contract.METRICS) - {"aux_loss"}


@pytest.fixture
def history(make_dpo_trainer, pairs):
    """The log of a run of two steps with an evaluation after each."""
    trainer = make_dpo_trainer(
        pairs, pairs[:5], max_steps=2, eval_strategy="steps", eval_steps=1, learning_rate=1e-3, beta=0.5
    )
    trainer.train()
    return trainer.state.log_history


def test_names_of_training_lines(history):
    """D11. A training line has the metrics of the contract and transformers' own, by exactly these names; besides
    training and evaluation lines there is the summary at the end."""
    lines = [line for line in history if "loss" in line]
    assert [set(line) for line in lines] == [DENSE | TRAIN] * 2
    assert [line for line in history if "loss" not in line and "eval_loss" not in line] == [history[-1]]


def test_names_of_evaluation_lines(history):
    """D12. An evaluation line has the metrics of the contract with the prefix `eval_`, and transformers' own."""
    lines = [line for line in history if "eval_loss" in line]
    assert [set(line) for line in lines] == [{f"eval_{name}" for name in DENSE} | EVAL] * 2


def test_prefixes_of_evaluation(make_dpo_trainer, pairs):
    """D12. `evaluate` returns the metrics with the prefix it is given; several data sets add their names; raw pairs are
    prepared."""
    from datasets import Dataset

    trainer = make_dpo_trainer(pairs, {"easy": pairs[:3], "hard": pairs[3:]})
    returned = trainer.evaluate()
    for name in ("easy", "hard"):
        assert {f"eval_{name}_{metric}" for metric in DENSE} <= set(returned)
    assert {f"test_{metric}" for metric in DENSE} <= set(
        trainer.evaluate(Dataset.from_list(pairs[:2]), metric_key_prefix="test")
    )


def test_mixture_of_experts_adds_its_loss(make_dpo_trainer, pairs, model_path, mixture_of_experts):
    """D13. `aux_loss` is logged for mixture-of-experts models, in training and in evaluation, and for no others."""
    from transformers import AutoTokenizer

    trainer = make_dpo_trainer(
        pairs, pairs[:3], model=mixture_of_experts, router_aux_loss_coef=0.01,
        processing_class=AutoTokenizer.from_pretrained(model_path), eval_strategy="steps", eval_steps=1,
    )  # fmt: skip
    trainer.train()
    train, evaluation = trainer.state.log_history[:2]
    assert set(train) == set(contract.METRICS) | TRAIN
    assert set(evaluation) == {f"eval_{name}" for name in contract.METRICS} | EVAL


def test_meaning(history):
    """D14. At first policy and reference agree: the loss of `sigmoid` is log 2 and every reward 0. Accuracies are
    fractions, margins are the difference of the rewards, log-probabilities are of whole answers, in nats."""
    first, second = [line for line in history if "loss" in line]
    assert first["loss"] == pytest.approx(math.log(2), rel=1e-6)
    assert first["rewards/chosen"] == first["rewards/rejected"] == first["rewards/margins"] == 0
    for line in (first, second):
        for name in ("rewards/accuracies", "mean_token_accuracy"):
            assert 0 <= line[name] <= 1
        assert line["rewards/margins"] == pytest.approx(line["rewards/chosen"] - line["rewards/rejected"], abs=1e-6)
        assert line["logps/chosen"] < 0 < line["entropy"]
    assert second["rewards/margins"] != 0


def test_rewards_scale_with_beta(make_dpo_trainer, pairs):
    """D14. A reward is `beta` times the log-ratio of policy and reference."""
    rewards = []
    for beta in (0.1, 0.3):
        rows = [row | {"ref_chosen_logps": -5.0, "ref_rejected_logps": -9.0} for row in pairs[:3]]
        trainer = make_dpo_trainer(rows, precompute_ref_log_probs=True, beta=beta)
        trainer.train()
        line = trainer.state.log_history[0]
        rewards.append(line["rewards/chosen"])
        assert line["rewards/chosen"] == pytest.approx(beta * (line["logps/chosen"] + 5), rel=1e-4)
    assert rewards[1] == pytest.approx(3 * rewards[0], rel=1e-5)


def test_tokens_that_are_counted(make_dpo_trainer, pairs):
    """D14. `num_tokens` counts the tokens since the run began without padding: a shared prompt once, else twice."""
    for padding_free, times in ((True, 1), (False, 2)):
        trainer = make_dpo_trainer(pairs[:3], padding_free=padding_free)
        trainer.train()
        counts = {name: sum(map(len, trainer.train_dataset[name])) for name in trainer.train_dataset.column_names}
        expected = times * counts["prompt_ids"] + counts["chosen_ids"] + counts["rejected_ids"]
        assert trainer.state.log_history[0]["num_tokens"] == expected
