"""The losses of supervised fine-tuning: log-probability of each learned token -> its loss.

The trainer divides their sum by the number of learned tokens of the whole optimizer step, over all ranks and
micro-batches, so that accumulation and data parallelism do not change the result.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

TokenLoss = Callable[[Float[Tensor, "N"]], Float[Tensor, "N"]]


def nll(logps: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """Negative log-likelihood: `-log p`."""
    return -logps


def dft(logps: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """Dynamic fine-tuning: `-sg(p) log p`, sg stops the gradient (https://huggingface.co/papers/2508.05629, eq. 9)."""
    return -logps.detach().exp() * logps


LOSSES: dict[str, TokenLoss] = {"nll": nll, "dft": dft}
"""`loss_type` -> loss per token."""
