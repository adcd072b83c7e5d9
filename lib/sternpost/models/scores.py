"""What a model says about each next token: the value that travels from the model to the losses.

hidden states + head + labels -> [`TokenScores`], by one of three implementations that compute the same thing:
    `score_plain`   all logits at once, plain autograd; the reference that the tests compare with    this file
    `score_fused`   tiles of logits, hand-written backward, for an ordinary linear head              fused.py
    `score_tiled`   tiles of logits through any head module (adapters, quantised, sharded)           tiled.py
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers.utils import ModelOutput

IGNORE = -100
"""Label of a position that is not learned."""

Objective = Callable[[Float[Tensor, "N"]], Float[Tensor, "N"]]
"""Log-probability of each label -> its loss, element by element."""

Extra: TypeAlias = Literal["mean_logit", "log_collision"]
"""Further statistics of a next-token distribution, which not every method needs."""


@dataclass
class TokenScores(ModelOutput):
    """Scores of each prediction. B rows of S tokens hold T = S - 1 predictions; entries without a label are zero.

    The defaults are what `ModelOutput` asks for; all but `loss` and `aux_loss` are always there.
    """

    loss: Float[Tensor, ""] | None = None
    """Sum of the objective over all labels, if one was asked for."""
    logps: Float[Tensor, "B T"] = None  # type: ignore[assignment]
    """Log-probability of each label; without gradient if an objective was asked for."""
    entropy: Float[Tensor, "B T"] = None  # type: ignore[assignment]
    """Entropy of each next-token distribution, in nats."""
    top1: Float[Tensor, "B T"] = None  # type: ignore[assignment]
    """One where no other token is more likely than the label."""
    mask: Float[Tensor, "B T"] = None  # type: ignore[assignment]
    """One where there is a label."""
    mean_logit: Float[Tensor, "B T"] | None = None
    """Mean of the logits over the vocabulary, if it was asked for."""
    log_collision: Float[Tensor, "B T"] | None = None
    """`log sum_v p_v^2`, how surely two draws agree, if it was asked for."""
    aux_loss: Float[Tensor, ""] | None = None
    """Load-balancing loss of a mixture-of-experts model."""


@dataclass(frozen=True)
class ScoreRequest:
    """Asks a model for [`TokenScores`] instead of logits: `model(**batch, score=ScoreRequest(labels))`."""

    labels: Int[Tensor, "B S"]
    """The token to score at each position, aligned with `input_ids` (not shifted); `IGNORE` where there is none."""
    objective: Objective | None = None
    """A loss per token. Given in advance, its gradient is made in the forward pass: three matrix products, not four."""
    temperature: float = 1.0
    """Divides the logits."""
    extras: tuple[Extra, ...] = ()
    """Statistics to compute besides log-probability, entropy and top-1 hit."""
    router: bool = False
    """Also compute the load-balancing loss."""


Scorer: TypeAlias = Callable[[nn.Module, dict[str, Any], ScoreRequest], TokenScores]
"""How a batch is scored: model, batch and request -> scores."""


@dataclass(frozen=True)
class LogitScale:
    """What a model does to the output of its head: `softcap * tanh(scale * x / softcap)`."""

    scale: float = 1.0
    softcap: float | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        logits = logits * self.scale
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)


def score_plain(
    hidden: Float[Tensor, "N H"],
    head: nn.Module,
    targets: Int[Tensor, "N"],
    scale: LogitScale = LogitScale(),
    temperature: float = 1.0,
    extras: tuple[Extra, ...] = (),
) -> tuple[Float[Tensor, "N"], ...]:
    """Log-probability, entropy, top-1 hit and the extras of each target, by the definition. Holds all `N x V` logits.

    Log-probability and entropy are differentiable.
    """
    logits = scale(head(hidden).float()) / temperature
    logps = logits.log_softmax(-1)
    chosen = logps.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    entropy = -(logps.exp() * logps).sum(-1)
    top1 = (chosen >= logps.amax(-1)).float()
    further = {"mean_logit": lambda: logits.mean(-1), "log_collision": lambda: (2 * logps).logsumexp(-1)}
    return chosen, entropy, top1, *(further[extra]().detach() for extra in extras)
