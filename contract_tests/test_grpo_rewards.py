"""Rewards as users write them and name them, and the completions that are kept with them."""

import inspect
import math

import pytest
from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import sternpost.rewards

READY_MADE = {
    "accuracy_reward": ["completions", "solution", "log_extra"],
    "reasoning_accuracy_reward": ["completions", "solution", "reasoning_delimiters", "log_extra"],
    "think_format_reward": ["completions"],
    "get_cosine_scaled_reward": [
        "max_len",
        "min_value_wrong",
        "max_value_wrong",
        "min_value_correct",
        "max_value_correct",
    ],
    "get_repetition_penalty_reward": ["ngram_size", "max_penalty"],
    "get_soft_overlong_punishment": ["max_completion_len", "soft_punish_cache"],
}
"""Ready-made rewards, and the arguments of each, or of what makes it."""


def test_arguments_of_a_reward(make_grpo_trainer, prompts):
    """G18. A reward is called with lists of N by name: `prompts`, `completions`, `completion_ids`, every column; and
    `trainer_state`, `log_extra`, `log_metric`. Text is answered by text, messages by a message of the assistant."""
    seen = []

    def reward(**kwargs):
        assert kwargs["trainer_state"].global_step == 0
        seen.append(kwargs)
        return [0.0] * len(kwargs["prompts"])

    said = [{"prompt": [{"role": "user", "content": row["prompt"]}], "target": row["target"]} for row in prompts]
    for rows in (prompts, said):
        make_grpo_trainer(rows, reward_funcs=reward).train()
    names = {"prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "target"}
    for kwargs in seen:
        assert set(kwargs) == names
        assert {len(kwargs[name]) for name in ("prompts", "completions", "completion_ids", "target")} == {4}
    text, messages = seen
    assert all(isinstance(each, str) for each in text["prompts"] + text["completions"])
    for (message,) in messages["completions"]:
        assert message.keys() == {"role", "content"}
        assert message["role"] == "assistant"


def test_a_reward_gets_what_its_signature_names(make_grpo_trainer, prompts):
    """G18. Without `**kwargs` a reward is given what it names only; what the rows lack is a ValueError at the start."""

    def short(completions, target):
        return [float(aim) for aim in target]

    def lacking(completions, solution):
        return [0.0] * len(completions)

    assert math.isfinite(make_grpo_trainer(prompts, reward_funcs=short).train().training_loss)
    with pytest.raises(ValueError, match=r"lacking.*solution"):
        make_grpo_trainer(prompts, reward_funcs=lacking)


def test_several_rewards(make_grpo_trainer, prompts):
    """G19. Rewards may be asynchronous; `reward` is their sum, weighted by `reward_weights`, without what is None."""

    async def late(completions, **kwargs):
        return [2.0] * len(completions)

    def partial(completions, **kwargs):
        return [None, 1.0, None, 1.0]

    trainer = make_grpo_trainer(prompts, reward_funcs=[late, partial], reward_weights=[1.0, 0.5])
    trainer.train()
    line = trainer.state.log_history[0]
    assert line["rewards/late/mean"] == 2
    assert line["rewards/partial/mean"] == 1
    assert line["reward"] == 2.25


def test_rewards_that_fail_are_named(make_grpo_trainer, prompts):
    """G20. A reward that raises, or returns something else than N numbers, ends the run with an error that names it."""

    def broken(completions, **kwargs):
        raise ZeroDivisionError

    def short(completions, **kwargs):
        return [0.0]

    for reward in (broken, short):
        with pytest.raises((RuntimeError, ValueError), match=reward.__name__):
            make_grpo_trainer(prompts, reward_funcs=reward).train()


def test_reward_models(make_grpo_trainer, prompts, model_path, tmp_path):
    """G21. A reward may be a sequence-classification model with one label, loaded or by its path; its metrics are named
    after what it was loaded from."""
    model = AutoModelForSequenceClassification.from_pretrained(model_path, num_labels=1)
    model.config.pad_token_id = AutoTokenizer.from_pretrained(model_path).pad_token_id
    model.save_pretrained(tmp_path / "judge")
    AutoTokenizer.from_pretrained(model_path).save_pretrained(tmp_path / "judge")
    trainer = make_grpo_trainer(prompts, reward_funcs=str(tmp_path / "judge"))
    trainer.train()
    assert math.isfinite(trainer.state.log_history[0]["rewards/judge/mean"])


def test_ready_made_rewards():
    """G22. Ready-made rewards are imported from `sternpost.rewards`, with the arguments listed here; `load_reward`
    finds them, and functions of modules, by name."""
    for name, arguments in READY_MADE.items():
        assert name in sternpost.rewards.__all__
        given = list(inspect.signature(getattr(sternpost.rewards, name)).parameters)
        assert [each for each in given if each != "kwargs"] == arguments
    thinking = sternpost.rewards.load_reward("think_format_reward")
    assert thinking is sternpost.rewards.think_format_reward
    assert thinking(completions=["<think>so</think>yes", "yes"]) == [1.0, 0.0]
    assert sternpost.rewards.load_reward("sternpost.rewards.think_format_reward") is thinking


def test_what_rewards_log(make_grpo_trainer, prompts, tmp_path):
    """G23. With `log_completions` all completions are kept in `completions/completions_<step>.parquet`: `step`,
    `prompt`, `completion`, each reward, `advantage`, and what was given to `log_extra`; `log_metric` adds a metric."""

    def talkative(completions, log_extra, log_metric, **kwargs):
        log_extra("length", [len(text) for text in completions])
        log_metric("longest", max(map(len, completions)))
        return [float(at) for at in range(len(completions))]

    trainer = make_grpo_trainer(prompts, reward_funcs=talkative, log_completions=True, max_steps=2)
    trainer.train()
    files = sorted((tmp_path / "run" / "completions").iterdir())
    assert [file.name for file in files] == ["completions_00001.parquet", "completions_00002.parquet"]
    rows = load_dataset("parquet", data_files=str(files[0]), cache_dir=str(tmp_path / "cache"))["train"]
    assert rows.column_names == ["step", "prompt", "completion", "talkative", "advantage", "length"]
    assert (rows["step"][:], rows["talkative"][:]) == ([1] * 4, [0, 1, 2, 3])
    assert sum(rows["advantage"][:]) == pytest.approx(0, abs=1e-6)
    assert rows["length"][:] == [len(text) for text in rows["completion"][:]]
    assert trainer.state.log_history[0]["longest"] == max(rows["length"][:])
