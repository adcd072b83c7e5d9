"""Prompts -> one completion each, in one call of the backend."""

from collections.abc import Sequence

from .backend import Backend, Completion, Group, Sampling
from .trajectory import Trajectory


def single_turn(backend: Backend, prompts: Sequence[list[int]], sampling: Sampling) -> list[Trajectory]:
    """One completion of each prompt; prompts that follow one another and are the same are read once."""
    return [
        Trajectory(prompt, drawn.ids, drawn.logps, [True] * len(drawn.ids), drawn.finished)
        for prompt, drawn in zip(prompts, draw_each(backend, prompts, sampling), strict=True)
    ]


def draw_each(
    backend: Backend, prompts: Sequence[list[int]], sampling: Sampling, longest: Sequence[int] | None = None
) -> list[Completion]:
    """One completion of each prompt, in order; `longest` bounds each by itself."""
    if not prompts:
        return []
    return [each for found in backend.sample(grouped(prompts, longest), sampling) for each in found]


def grouped(prompts: Sequence[list[int]], longest: Sequence[int] | None = None) -> list[Group]:
    """Prompts that follow one another and are the same, with the same bound, as one group."""
    groups: list[Group] = []
    for prompt, bound in zip(prompts, [None] * len(prompts) if longest is None else longest, strict=True):
        if groups and list(groups[-1].prompt) == prompt and groups[-1].max_tokens == bound:
            groups[-1] = Group(prompt, groups[-1].count + 1, bound)
        else:
            groups.append(Group(prompt, 1, bound))
    return groups
