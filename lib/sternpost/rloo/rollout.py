"""What was generated, as it travels from generation to the loss."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import nan
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.groups import CompletionBatch, completion_batch
from ..generation.trajectory import Trajectory
from .loss import Window


@dataclass(frozen=True)
class Rollout:
    """Some completions of one rank, with all that the loss needs of them but the policy's scores."""

    prompts: list[list[int]]
    completions: list[list[int]]
    advantages: Float[Tensor, "N"]
    """Rewards, until they are compared."""
    mask: Float[Tensor, "N C"]
    """One for the tokens that are learned."""
    sampler_logps: Float[Tensor, "N C"] | None = None
    """What drew the completions says of them; not-a-number, or None for all, where it says nothing."""
    old_logps: Float[Tensor, "N C"] | None = None
    """None where the old policy is the policy itself."""
    ref_logps: Float[Tensor, "N C"] | None = None

    def __len__(self) -> int:
        return len(self.completions)

    # twin: sternpost.grpo.rollout.Rollout.part
    def part(self, rows: slice) -> "Rollout":
        """Some of the completions, with their scores as wide as the longest of them."""
        width = max(map(len, self.completions[rows]))
        found: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            found[each.name] = None if value is None else value[rows]
            if isinstance(value, Tensor) and value.dim() == 2:
                found[each.name] = found[each.name][:, :width]
        return Rollout(**found)

    def batch(self, pad_token_id: int, shared: bool, multiple_of: int | None = None) -> CompletionBatch:
        """As a model reads it."""
        return completion_batch(self.prompts, self.completions, pad_token_id, shared, multiple_of)

    def divergence(self) -> Float[Tensor, "N"]:
        """`sum_t log old/ref` of each completion; where old was not scored, it is what the sampler said."""
        old = self.sampler_logps if self.old_logps is None else self.old_logps
        assert old is not None
        assert self.ref_logps is not None
        return ((old - self.ref_logps) * self.mask).sum(1)

    def with_scores(self, old_logps: Tensor | None, ref_logps: Tensor | None) -> "Rollout":
        return replace(self, old_logps=old_logps, ref_logps=ref_logps)


@dataclass(frozen=True)
class MicroBatch:
    """A part of a rollout, and what the optimizer step that it belongs to holds in all."""

    rollout: Rollout
    window: Window


# twin: sternpost.grpo.rollout.rollout_of
def rollout_of(trajectories: Sequence[Trajectory], advantages: Float[Tensor, "N"], mask_truncated: bool) -> Rollout:
    """Trajectories and what they are worth, on the device of the advantages."""
    device = advantages.device
    learned = [
        [float(drawn and (each.finished or not mask_truncated)) for drawn in each.drawn] for each in trajectories
    ]
    logps = [[nan] * len(each.ids) if each.logps is None else each.logps for each in trajectories]
    return Rollout(
        [each.prompt for each in trajectories],
        [each.ids for each in trajectories],
        advantages,
        rectangle(learned, device),
        None if all(each.logps is None for each in trajectories) else rectangle(logps, device),
    )


def rectangle(rows: Sequence[Sequence[float]], device: torch.device) -> Float[Tensor, "N C"]:
    """Rows of numbers, with zeros behind their ends."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(device)
