"""The demo's problems: right answers, from a seed, and never both held out and trained on."""

import re
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sternpost.demo.tasks import TASKS, problems, slip

seeds = st.integers(0, 2**32)


@given(seeds)
def test_sums_are_right(seed):
    """`add` and `total` ask for the sum of the numbers in their question."""
    for task in ("add", "total"):
        problem = TASKS[task](Random(seed))
        assert int(problem.answer) == sum(map(int, re.findall(r"\d+", problem.question)))


@given(seeds)
def test_stories_are_right(seed):
    """Bags times content, plus what is found or minus what is given away, and never less than nothing."""
    problem = TASKS["story"](Random(seed))
    bags, each, change = map(int, re.findall(r"\d+", problem.question))
    assert int(problem.answer) == bags * each + (change if "finds" in problem.question else -change)
    assert int(problem.answer) >= 0


@given(seeds)
def test_numbers_are_ordered_rightly(seed):
    """`largest` and `order` answer about the numbers in their question."""
    for task in ("largest", "order"):
        problem = TASKS[task](Random(seed))
        numbers = sorted(map(int, re.findall(r"\d+", problem.question)))
        assert list(map(int, problem.answer.split(", "))) == (numbers[-1:] if task == "largest" else numbers)


@given(seeds)
def test_words_are_handled_rightly(seed):
    """`reverse`, `count` and `upper` answer about the word that ends their key."""
    reverse, count, upper = (TASKS[task](Random(seed)) for task in ("reverse", "count", "upper"))
    word = reverse.key.split()[-1]
    assert word in reverse.question
    assert reverse.answer.replace(" ", "") == word[::-1]
    _, letter, _, word = count.key.split()
    assert int(count.answer) == word.count(letter) >= 1
    assert upper.answer == upper.key.split()[-1].upper()


@given(seeds, st.sampled_from(sorted(TASKS)))
def test_every_equation_in_the_steps_holds(seed, task):
    """No demonstration teaches a wrong step."""
    for step in TASKS[task](Random(seed)).steps:
        if "=" in step:
            left, right = step.split("=")
            assert eval(left) == int(right)


@given(seeds, st.sampled_from(sorted(TASKS)))
def test_a_slip_changes_one_character(seed, task):
    """A mistake differs from the right line in exactly one digit or letter, and digits stay digits."""
    rng = Random(seed)
    problem = TASKS[task](rng)
    for line in (problem.answer, *problem.steps):
        wrong = slip(rng, line)
        changed = [(a, b) for a, b in zip(line, wrong, strict=True) if a != b]
        assert len(changed) == 1
        assert changed[0][0].isdigit() == changed[0][1].isdigit()


@pytest.mark.parametrize("held_out", [True, False])
def test_problems_keep_to_their_side_and_take_turns(held_out):
    """Held-out problems are drawn only when asked for, and all tasks are equally frequent."""
    drawn = list(islice(problems(Random(0), held_out=held_out), 8 * 20))
    assert all(problem.held_out is held_out for problem in drawn)
    assert [problem.task for problem in drawn] == [*TASKS] * 20


def test_the_same_seed_gives_the_same_problems():
    """Nothing but the seed decides."""
    first, again, other = (list(islice(problems(Random(seed)), 80)) for seed in (1, 1, 2))
    assert first == again != other
