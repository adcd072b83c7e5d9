"""Ready-made rewards are TRL's, on thousands of completions that are drawn from what each of them looks for."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import trl.rewards

import sternpost.rewards

PIECES = (
    "<think>", "</think>", "[/THINK]", "a b a", "\n", " ", "$4$", r"\boxed{4}", r"\boxed{3}", "4", r"$\frac{1}{2}$",
    r"\boxed{\frac{1}{2}}", r"\(x^2+1\)", r"\boxed{10\text{ cm}}", "so the answer is ",
)  # fmt: skip
SOLUTIONS = ("4", "$4$", r"$\frac{1}{2}$", "0.5", r"$1+x^2$", "10", "what?", r"\boxed{3}")
DELIMITERS = (None, ["[/THINK]"], ["</think>", "[/THINK]"])


def drawn(count: int, seed: int = 0) -> dict[str, list[Any]]:
    """Columns that rewards are given, of that many completions."""
    generator = random.Random(seed)
    texts = ["".join(generator.choices(PIECES, k=generator.randint(0, 6))) for _ in range(count)]
    return {
        "completions": [[{"role": "assistant", "content": text}] for text in texts],
        "completion_ids": [[generator.randint(0, 3) for _ in range(generator.randint(0, 40))] for _ in texts],
        "solution": [generator.choice(SOLUTIONS) for _ in texts],
    }


def both(name: str, *made_with: Any) -> list[Callable[..., Any]]:
    """The reward of either library, made first if it is made."""
    functions = [getattr(library, name) for library in (trl.rewards, sternpost.rewards)]
    return [function(*made_with) for function in functions] if name.startswith("get_") else functions


@pytest.mark.parametrize(
    ("name", "made_with", "count"),
    [
        ("think_format_reward", (), 5000),
        ("accuracy_reward", (), 150),
        ("get_cosine_scaled_reward", (30,), 150),
        ("get_cosine_scaled_reward", (10, -2.0, -0.1, 0.2, 3.0), 150),
        *[("get_repetition_penalty_reward", options, 2000) for options in ((), (1, -0.5), (4, -2.0))],
        *[("get_soft_overlong_punishment", options, 2000) for options in ((30, 10), (20, 20), (5, 1))],
    ],
)
def test_equal(name: str, made_with: tuple[Any, ...], count: int) -> None:
    """The same number or None for every completion."""
    theirs, ours = (reward(**drawn(count)) for reward in both(name, *made_with))
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert len(set(theirs)) > 1


@pytest.mark.parametrize("delimiters", DELIMITERS)
def test_equal_reasoning(delimiters: list[str] | None) -> None:
    """With any delimiters."""
    theirs, ours = (
        reward(**drawn(150, seed=1), reasoning_delimiters=delimiters) for reward in both("reasoning_accuracy_reward")
    )
    assert ours == theirs
    assert len(set(theirs)) > 1
