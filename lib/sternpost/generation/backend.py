"""The seam between trainers and whatever produces completions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    max_tokens: int
    temperature: float = 1.0
    """Divides the logits; 0 takes the likeliest token."""
    top_p: float = 1.0
    """Smallest set of tokens whose probabilities add up to this; 1 is all."""
    top_k: int = 0
    """Only the likeliest tokens; 0 is all."""
    min_p: float = 0.0
    """Only tokens at least this likely, relative to the likeliest one."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens that occurred; 1 changes nothing."""
    stop: frozenset[int] = frozenset()
    """Tokens that end a completion and belong to it."""
    seed: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    """Further parameters, by the names that the backend has for them; the engine in this process knows none."""

    def __post_init__(self) -> None:
        for name, right, range_ in (
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("temperature", self.temperature >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("repetition_penalty", self.repetition_penalty > 0, "above 0"),
        ):
            if not right:
                raise ValueError(f"`{name}={getattr(self, name)}` must be {range_}.")


@dataclass(frozen=True)
class Completion:
    """What was drawn after a prompt."""

    ids: list[int]
    logps: list[float]
    """Log-probability of each token at this temperature, before `top_k`, `top_p` and `min_p` leave tokens out."""
    finished: bool
    """It ended with a stop token, not because it was long enough."""


@dataclass(frozen=True)
class Group:
    """A prompt and how many completions of it are wanted."""

    prompt: Sequence[int]
    count: int = 1
    max_tokens: int | None = None
    """Longest completion of this prompt, where that is less than the sampling allows."""

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"`max_tokens={self.max_tokens}` of a group must be at least 1.")

    def longest(self, sampling: Sampling) -> int:
        """The most tokens that a completion of this prompt may have."""
        return sampling.max_tokens if self.max_tokens is None else min(self.max_tokens, sampling.max_tokens)


class Backend(Protocol):
    """Produces completions."""

    def sync(self, model: Any) -> None:
        """Take over the weights of the policy."""

    def sample(self, groups: Sequence[Group], sampling: Sampling) -> list[list[Completion]]:
        """The completions of each group, in order."""


def rest(backend: Backend) -> None:
    """Tell a backend that cares that nothing is drawn until the next `sync`, or for some time. Every rank has to."""
    if hasattr(backend, "rest"):
        backend.rest()
