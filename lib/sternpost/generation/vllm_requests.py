"""What vLLM is asked for a group, and what it may be asked at all; the same for a server and for an engine here."""

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from .backend import Completion, Group, Sampling


def parameters_of(group: Group, number: int, sampling: Sampling) -> dict[str, Any]:
    """Sampling parameters of a group, by vLLM's names. Seeds differ: vLLM counts up from the one given."""
    return {
        "n": group.count if sampling.temperature else 1,  # the likeliest tokens are the same each time
        "max_tokens": group.longest(sampling),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "stop_token_ids": sorted(sampling.stop),
        "ignore_eos": True,  # only what `stop` names ends a completion
        "seed": crc32(repr((sampling.seed, number)).encode()) << 16,
        "logprobs": 0,
        **sampling.extra,
    }


def check_prompts(groups: Sequence[Group]) -> None:
    """Raise for a prompt without tokens."""
    for number, group in enumerate(groups):
        if not len(group.prompt):
            raise ValueError(f"prompt {number} has no tokens. Give each at least one, such as the start token.")


def for_each_member(found: list[Completion], group: Group) -> list[Completion]:
    """As many completions as the group has members, where all are the same."""
    return found if len(found) == group.count else found * group.count
