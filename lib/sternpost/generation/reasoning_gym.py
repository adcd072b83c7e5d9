"""Tasks of reasoning-gym (https://github.com/open-thought/reasoning-gym): made-up problems that score themselves.

A task is a data set of prompts and the reward function that asks the package how good an answer is.
"""

import logging
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from datasets import Dataset

from ..rewards.completions import Completion, text_of

logger = logging.getLogger(__name__)

WAY_OUT = "tasks of reasoning-gym need the package: `pip install 'sternpost[reasoning-gym]'`."

RewardFunction = Callable[..., list[float]]


def task(
    source: Any,
    size: int = 500,
    seed: int = 0,
    *,
    system_prompt: str | None = None,
    answer_tag: str | None = "answer",
    conversational: bool = True,
    **config: Any,
) -> tuple[Dataset, RewardFunction]:
    """A task as `(dataset, reward function)`, for `train_dataset` and `reward_funcs`.

    Args:
        source: The name of a task, or a data set of reasoning-gym, such as a composite one.
        size, seed: How many problems, and which. The same seed makes the same ones.
        system_prompt: What the prompts begin with: text, or the name of one of the package's own ("default",
            "DeepSeekZero", "simple", "direct", "chain_of_draft").
        answer_tag: The answer is what stands between the last `<answer>` and `</answer>`, or tags of another name. None
            takes all that is said after `</think>`.
        conversational: Prompts are messages; else text.
        config: Options of the task, for example `min_terms=2`.

    Raises:
        ImportError: reasoning-gym is not installed.
        ValueError: there is no task of this name, or options do not fit it.
    """
    try:
        from reasoning_gym.utils import SYSTEM_PROMPTS, extract_answer
    except ImportError as error:
        raise ImportError(WAY_OUT) from error
    problems = made(source, size, seed, config) if isinstance(source, str) else source
    title = source if isinstance(source, str) else type(source).__name__
    entries = [problems[at] for at in range(len(problems))]
    system = SYSTEM_PROMPTS.get(system_prompt, system_prompt)
    rows = [
        {"prompt": prompt(entry["question"], system, conversational), "answer": entry["answer"], "entry": at}
        for at, entry in enumerate(entries)
    ]

    def reward(completions: Sequence[Completion], entry: Sequence[int], **kwargs: Any) -> list[float]:
        return [score(text_of(completion), entries[at]) for completion, at in zip(completions, entry, strict=True)]

    def score(text: str, entry: dict[str, Any]) -> float:
        answer = extract_answer(text, answer_tag) if answer_tag else text.rpartition("</think>")[2].strip()
        try:
            return float(problems.score_answer(answer, entry))
        except Exception as error:  # some tasks fail on answers that are none
            logger.warning("%s cannot score the answer %r (%r); it counts as 0.", title, answer, error)
            return 0.0

    reward.__name__ = f"{title}_reward"
    return Dataset.from_list(rows), reward


def made(name: str, size: int, seed: int, config: dict[str, Any]) -> Any:
    """A data set of reasoning-gym.

    Raises:
        ValueError: there is no task of this name, or options do not fit it.
    """
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if name not in DATASETS:
        alike = ", ".join(map(repr, get_close_matches(name, DATASETS))) or "; `reasoning_gym.factory.DATASETS` has all"
        raise ValueError(f"reasoning-gym has no task {name!r}. Did you mean {alike}?")
    try:
        return reasoning_gym.create_dataset(name, size=size, seed=seed, **config)
    except (TypeError, ValueError, AssertionError) as error:
        raise ValueError(f"the options {config} do not fit the task {name!r} of reasoning-gym: {error}") from error


def prompt(question: str, system: str | None, conversational: bool) -> Any:
    """A problem as messages or as text."""
    if not conversational:
        return question if system is None else f"{system}\n\n{question}"
    opening = [] if system is None else [{"role": "system", "content": system}]
    return [*opening, {"role": "user", "content": question}]
