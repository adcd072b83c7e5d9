"""Rewards for mathematical answers, compared by their value and not by their spelling."""

from typing import Any

from .completions import Completion, text_of

WAY_OUT = "this reward needs math-verify: `pip install 'sternpost[math]'`."


def accuracy_reward(completions: list[Completion], solution: list[str], **kwargs: Any) -> list[float | None]:
    """1 where the answer of a completion equals the solution, else 0; None where the solution cannot be read.

    The answer is the first boxed or other LaTeX expression (Hugging Face's math-verify compares them).

    Raises:
        ImportError: math-verify is not installed.
    """
    return [judged(text_of(completion), right) for completion, right in zip(completions, solution, strict=True)]


def reasoning_accuracy_reward(
    completions: list[Completion],
    solution: list[str],
    reasoning_delimiters: list[str] | None = None,
    **kwargs: Any,
) -> list[float | None]:
    """`accuracy_reward` of what follows the reasoning; 0 for completions whose reasoning never ends."""
    delimiters = reasoning_delimiters or ["</think>"]
    rewards: list[float | None] = []
    for completion, right in zip(completions, solution, strict=True):
        text = text_of(completion)
        ends = [text.rfind(delimiter) + len(delimiter) for delimiter in delimiters if delimiter in text]
        rewards.append(judged(text[max(ends) :], right) if ends else 0.0)
    return rewards


def judged(text: str, solution: str) -> float | None:
    """Whether an answer equals a solution."""
    try:
        from latex2sympy2_extended import NormalizationConfig
        from math_verify import LatexExtractionConfig, parse, verify
    except ImportError as error:
        raise ImportError(WAY_OUT) from error
    # Their time-outs are signals, which only the main thread can have; rewards run in threads, with time-outs of ours.
    gold = parse(solution, parsing_timeout=None)
    if not gold:
        return None
    boxed = LatexExtractionConfig(
        boxed_match_priority=0, normalization_config=NormalizationConfig(units=True), try_extract_without_anchor=False
    )
    answer = parse(text, extraction_config=[boxed], extraction_mode="first_match", parsing_timeout=None)
    return float(verify(gold, answer, timeout_seconds=None))
