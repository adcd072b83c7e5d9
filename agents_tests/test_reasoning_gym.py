"""Tasks of reasoning-gym: its problems are the prompts, its own scores the rewards."""

import logging

import pytest
import reasoning_gym

from sternpost.generation.reasoning_gym import task
from sternpost.generation.trajectory import Trajectory
from sternpost.rewards.judge import Judge

SUMS = {"min_terms": 2, "max_terms": 2, "max_digits": 2}


def said(text):
    return [{"role": "assistant", "content": text}]


def test_problems_become_prompts():
    """The same for the same seed, with the package's answers beside them."""
    rows, reward = task("chain_sum", size=5, seed=3, **SUMS)
    problems = reasoning_gym.create_dataset("chain_sum", size=5, seed=3, **SUMS)
    assert [row["prompt"] for row in rows] == [[{"role": "user", "content": each["question"]}] for each in problems]
    assert rows["answer"] == [each["answer"] for each in problems]
    assert task("chain_sum", size=5, seed=3, **SUMS)[0].to_list() == rows.to_list()
    assert task("chain_sum", size=5, seed=4, **SUMS)[0].to_list() != rows.to_list()
    assert reward.__name__ == "chain_sum_reward"


def test_scores_are_those_of_the_package():
    """Of the last tagged answer; partial credit where the package gives it."""
    rows, reward = task("chain_sum", size=3, **SUMS)
    answers = rows["answer"]
    texts = [f"<answer>0.5</answer> no, <answer> {answers[0]} </answer>", f"it is {answers[1]}", "<answer>no</answer>"]
    assert reward(completions=[said(text) for text in texts], entry=[0, 1, 2]) == [1.0, 0.0, 0.0]
    close = f"<answer>{answers[2]} or so</answer>"
    problems = reasoning_gym.create_dataset("chain_sum", size=3, seed=0, **SUMS)
    assert reward(completions=[close], entry=[2]) == [problems.score_answer(f"{answers[2]} or so", problems[2])]


def test_without_a_tag_all_that_is_said_is_the_answer():
    """After reasoning; with another tag, what stands between those."""
    rows, reward = task("chain_sum", size=1, answer_tag=None, **SUMS)
    assert reward(completions=[f"<think>hm</think> {rows[0]['answer']}\n"], entry=[0]) == [1.0]
    rows, reward = task("chain_sum", size=1, answer_tag="result", **SUMS)
    assert reward(completions=[f"<result>{rows[0]['answer']}</result>"], entry=[0]) == [1.0]


def test_prompts_may_be_text_and_have_a_system_prompt():
    """One of the package's, by its name, or any other."""
    rows, _ = task("chain_sum", size=1, system_prompt="Be brief.", **SUMS)
    assert rows[0]["prompt"][0] == {"role": "system", "content": "Be brief."}
    rows, _ = task("chain_sum", size=1, system_prompt="simple", conversational=False, **SUMS)
    assert rows[0]["prompt"].startswith("You are a helpful assistant")


def test_a_data_set_of_the_package_is_a_task():
    """For example one that mixes several."""
    from reasoning_gym.composite import DatasetSpec

    specs = [DatasetSpec(name=name, weight=1, config={}) for name in ("chain_sum", "leg_counting")]
    mixed = reasoning_gym.create_dataset("composite", size=6, seed=1, datasets=specs)
    rows, reward = task(mixed)
    assert len(rows) == 6
    assert reward(completions=[f"<answer>{answer}</answer>" for answer in rows["answer"]], entry=range(6)) == [1.0] * 6


def test_answers_that_the_package_fails_on_are_worth_nothing(caplog):
    """Some tasks raise on what is no answer; the run goes on, and says so."""
    _, reward = task("prime_factorization", size=1)
    with caplog.at_level(logging.WARNING):
        assert reward(completions=["<answer>nonsense</answer>"], entry=[0]) == [0.0]
    assert "prime_factorization cannot score the answer 'nonsense'" in caplog.text


def test_the_reward_fits_the_judge():
    """It gets its column and no other that it does not know."""
    rows, reward = task("chain_sum", size=2, **SUMS)
    judge = Judge(reward)
    judge.check_columns(rows.column_names)
    texts = [said(f"<answer>{rows[0]['answer']}</answer>"), said("<answer></answer>")]
    trajectories = [Trajectory([1], [2], [0.0], [True], True) for _ in texts]
    assert judge(rows.to_list(), trajectories, texts).rewards.tolist() == [[1.0], [0.0]]


@pytest.mark.parametrize(
    ("name", "config", "error"),
    [
        ("chain_summ", {}, "no task 'chain_summ'. Did you mean 'chain_sum'"),
        ("chain_sum", {"terms": 2}, "options {'terms': 2} do not fit the task 'chain_sum'"),
        ("chain_sum", {"min_terms": 9, "max_terms": 2}, "do not fit the task 'chain_sum'.*max_terms must be"),
    ],
)
def test_wrong_tasks_are_named(name, config, error):
    """With what is alike, or what does not fit."""
    with pytest.raises(ValueError, match=error):
        task(name, **config)
