"""The weight of the entropy bonus, fixed or adaptive."""

from typing import Any

import torch
from torch import Tensor


class EntropyControl:
    """Keeps the entropy near a target: the weight grows after each optimizer step whose mean entropy is at most the
    target, and falls after others; it counts only as long as the last mean was at most the target (Skywork-OR1,
    2505.22312, section 3.2.5)."""

    def __init__(self, args: Any) -> None:
        self.args = args
        self.weight: float = args.entropy_coef
        self.last = float("inf")
        """Mean entropy of the last step, in nats."""
        self.open: Tensor | None = None

    @property
    def enabled(self) -> bool:
        return self.args.use_adaptive_entropy or self.args.entropy_coef != 0

    @property
    def coefficient(self) -> float:
        """What the open step is given."""
        return self.weight if not self.args.use_adaptive_entropy or self.last <= self.args.entropy_target else 0.0

    def add(self, entropy: Tensor, tokens: Tensor) -> None:
        """Add a micro-batch to the open step: the sum of its tokens' entropies, and their number."""
        share = torch.stack([entropy.detach().double(), tokens.double()])
        self.open = share if self.open is None else self.open + share

    def close_step(self, accelerator: Any) -> None:
        """Change the weight for the steps to come, if it is adaptive."""
        if self.open is not None and self.args.use_adaptive_entropy:
            total, tokens = accelerator.reduce(self.open, reduction="sum").tolist()
            self.last = total / max(tokens, 1)
            change = self.args.entropy_coef_delta
            change = change if self.last <= self.args.entropy_target else -change
            self.weight = min(max(self.weight + change, self.args.entropy_coef_min), self.args.entropy_coef_max)
        self.open = None

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"entropy_coef": self.weight, "last_world_entropy": self.last}

    def restore(self, state: dict[str, float]) -> None:
        self.weight, self.last = state["entropy_coef"], state["last_world_entropy"]
