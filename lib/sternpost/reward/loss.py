"""The loss of reward modelling: rewards of pairs -> one loss per pair."""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """Rewards of the answers of P pairs."""

    chosen: Float[Tensor, "P"]
    rejected: Float[Tensor, "P"]
    margin: Float[Tensor, "P"] | None = None
    """By how much the chosen answer is better, if the rows say so."""


def reward_loss(pairs: Pairs, center_rewards_coefficient: float | None = None) -> Float[Tensor, "P"]:
    """Loss of each pair: Bradley-Terry, and centring if it has a weight."""
    losses = bradley_terry(pairs)
    return losses + center_rewards_coefficient * centring(pairs) if center_rewards_coefficient else losses


def bradley_terry(pairs: Pairs) -> Float[Tensor, "P"]:
    """`-log s(r_w - r_l - m)`: how unlikely it is that the chosen answer wins, by a margin if there is one.

    InstructGPT, https://huggingface.co/papers/2203.02155, eq. 1; with a margin Llama 2,
    https://huggingface.co/papers/2307.09288, eq. 2.
    """
    difference = pairs.chosen - pairs.rejected
    return -F.logsigmoid(difference if pairs.margin is None else difference - pairs.margin)


def centring(pairs: Pairs) -> Float[Tensor, "P"]:
    """`(r_w + r_l)^2`: holds rewards around zero, of which Bradley-Terry reads only differences.

    Helping or Herding?, https://huggingface.co/papers/2312.09244, its regularised reward model.
    """
    return (pairs.chosen + pairs.rejected) ** 2
