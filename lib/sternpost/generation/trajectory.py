"""What a roll-out makes of a prompt: the tokens of the policy, and those of tools in between."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Trajectory:
    """One completion, in one turn or several, token for token as it was sampled."""

    prompt: list[int]
    ids: list[int]
    """All tokens after the prompt."""
    logps: list[float] | None
    """What the sampler says of each token; 0 for tokens that were not drawn. None where it says nothing."""
    drawn: list[bool]
    """Whether the policy drew the token; those of tools and of the template are not learned."""
    finished: bool
    """It ended by itself, not because it was long enough."""
    messages: list[dict[str, Any]] | None = None
    """The completion as messages, where it has several turns; None where decoding its tokens says all."""
    prompt_messages: list[dict[str, Any]] | None = None
    """The prompt as messages, where an environment had a part in it; None where it is that of the row."""
    tool_calls: int = 0
    tool_failures: int = 0
    environment: Any = None
    """The environment that it took place in."""
    fields: dict[str, Any] = field(default_factory=dict)
    """What else reward functions are told of it, by name."""

    def __post_init__(self) -> None:
        logps = self.drawn if self.logps is None else self.logps
        if not len(self.ids) == len(logps) == len(self.drawn):
            raise ValueError(
                f"a trajectory has {len(self.ids)} tokens, {len(logps)} log-probabilities and {len(self.drawn)} "
                "marks of what was drawn. Give one of each for every token."
            )
