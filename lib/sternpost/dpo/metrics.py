"""The metrics of a batch of pairs (`contract.METRICS`)."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..metrics import Share
from ..models.scores import TokenScores
from .answers import Answers
from .loss import Pairs


@torch.no_grad()
def pair_metrics(
    pairs: Pairs, losses: Float[Tensor, "P"], scores: TokenScores, answers: Answers, beta: float
) -> dict[str, Share]:
    """Each metric as a sum and what it is to be divided by."""
    count = losses.new_tensor(len(losses))
    tokens = answers.tokens
    half = len(losses)
    chosen, rejected = beta * pairs.chosen_logratios, beta * pairs.rejected_logratios
    top1 = answers.sums(scores.top1)
    metrics = {
        "loss": (losses.sum(), count),
        "entropy": (answers.sums(scores.entropy).sum(), tokens.sum()),
        "mean_token_accuracy": (top1[:half].sum(), tokens[:half].sum()),
        "logps/chosen": (pairs.chosen.sum(), count),
        "logps/rejected": (pairs.rejected.sum(), count),
        "rewards/chosen": (chosen.sum(), count),
        "rewards/rejected": (rejected.sum(), count),
        "rewards/accuracies": ((chosen > rejected).float().sum(), count),
        "rewards/margins": ((chosen - rejected).sum(), count),
    }
    if scores.mean_logit is not None:
        logits = answers.sums(scores.mean_logit)
        metrics["logits/chosen"] = (logits[:half].sum(), tokens[:half].sum())
        metrics["logits/rejected"] = (logits[half:].sum(), tokens[half:].sum())
    return metrics
