"""What was generated, as it travels from generation to the loss."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.groups import CompletionBatch, completion_batch
from .loss import Window


@dataclass(frozen=True)
class Rollout:
    """Some completions of one rank, with all that the loss needs of them but the policy's scores."""

    prompts: list[list[int]]
    completions: list[list[int]]
    advantages: Float[Tensor, "N"]
    learned: Float[Tensor, "N"]
    """Zero for completions that are masked as a whole."""
    old_logps: Float[Tensor, "N C"] | None = None
    """None where the old policy is the policy itself."""
    ref_logps: Float[Tensor, "N C"] | None = None

    def __len__(self) -> int:
        return len(self.completions)

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

    def batch(self, pad_token_id: int, shared: bool) -> CompletionBatch:
        """As a model reads it."""
        return completion_batch(self.prompts, self.completions, pad_token_id, shared)

    def mask(self) -> Float[Tensor, "N C"]:
        """One for the tokens that are learned."""
        lengths = torch.tensor([len(completion) for completion in self.completions])
        mask = (torch.arange(int(lengths.max())) < lengths[:, None]).float()
        return mask * self.learned.cpu()[:, None]

    def with_scores(self, old_logps: Tensor | None, ref_logps: Tensor | None) -> "Rollout":
        return replace(self, old_logps=old_logps, ref_logps=ref_logps)


@dataclass(frozen=True)
class MicroBatch:
    """A part of a rollout, and what the optimizer step that it belongs to holds in all."""

    rollout: Rollout
    window: Window


def micro_batches(rollout: Rollout, count: int, windows: Sequence[Window], steps_per_window: int) -> list[MicroBatch]:
    """A rollout in equal parts, each with the window of its optimizer step."""
    size = len(rollout) // count
    return [
        MicroBatch(rollout.part(slice(at * size, (at + 1) * size)), windows[at // steps_per_window])
        for at in range(count)
    ]
