"""Rewards for mathematical answers, compared by their value and not by their spelling.

Reading an answer may take long, and nothing ends it in a thread: give `reward_timeout`, or let another process do it,
`isolated(accuracy_reward, timeout=10)`.
"""

from collections.abc import Callable
from typing import Any

from .completions import Completion, text_of

WAY_OUT = "this reward needs math-verify: `pip install 'sternpost[math]'`."
Log = Callable[[str, list[Any]], None]


def accuracy_reward(
    completions: list[Completion], solution: list[str], log_extra: Log | None = None, **kwargs: Any
) -> list[float | None]:
    """1 where the answer of a completion equals the solution, else 0; None where the solution cannot be read.

    The answer is the first boxed or other LaTeX expression (Hugging Face's math-verify compares them). Logged are the
    `solution`, and what was read of it (`gold_parsed`) and of the completion (`answer_parsed`).

    Raises:
        ImportError: math-verify is not installed.
    """
    return compared([text_of(completion) for completion in completions], solution, log_extra)


def reasoning_accuracy_reward(
    completions: list[Completion],
    solution: list[str],
    reasoning_delimiters: list[str] | None = None,
    log_extra: Log | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """`accuracy_reward` of what follows the reasoning; 0 for completions whose reasoning never ends."""
    delimiters = reasoning_delimiters or ["</think>"]
    answers: list[str | None] = []
    for completion in completions:
        text = text_of(completion)
        ends = [text.rfind(delimiter) + len(delimiter) for delimiter in delimiters if delimiter in text]
        answers.append(text[max(ends) :] if ends else None)
    return compared(answers, solution, log_extra)


def compared(answers: list[str | None] | list[str], solutions: list[str], log_extra: Log | None) -> list[float | None]:
    """Whether answers equal solutions; where there is none, 0."""
    found = [
        (0.0, None, None) if answer is None else judged(answer, solution)
        for answer, solution in zip(answers, solutions, strict=True)
    ]
    if log_extra is not None:
        log_extra("solution", [str(solution) for solution in solutions])
        log_extra("gold_parsed", [str(gold) if gold else None for _, gold, _ in found])
        log_extra("answer_parsed", [str(answer) if answer else None for _, _, answer in found])
    return [reward for reward, _, _ in found]


def judged(text: str, solution: str) -> tuple[float | None, list[Any] | None, list[Any] | None]:
    """Whether an answer equals a solution, and what was read of the solution and of the answer."""
    try:
        from latex2sympy2_extended import NormalizationConfig
        from math_verify import LatexExtractionConfig, parse, verify
    except ImportError as error:
        raise ImportError(WAY_OUT) from error
    # Their time-outs are signals, which only the main thread can have; rewards run in threads, with time-outs of ours.
    gold = parse(solution, parsing_timeout=None)
    if not gold:
        return None, None, None
    boxed = LatexExtractionConfig(
        boxed_match_priority=0, normalization_config=NormalizationConfig(units=True), try_extract_without_anchor=False
    )
    answer = parse(text, extraction_config=[boxed], extraction_mode="first_match", parsing_timeout=None)
    return float(verify(gold, answer, timeout_seconds=None)), gold, answer
