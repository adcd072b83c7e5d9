"""Load balancing of mixture-of-experts models."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def load_balancing_loss(
    router_logits: tuple[Float[Tensor, "N E"], ...], top_k: int, attention_mask: Int[Tensor, "B S"] | None = None
) -> Float[Tensor, ""]:
    """`E * sum_e f_e P_e` over the tokens of all layers: 1 x top_k when the experts are used alike.

    f_e is how often a token is sent to expert e, P_e the mean probability that the router gives it. Padding does not
    count. Switch Transformers, eq. 4 to 6 (https://huggingface.co/papers/2101.03961), summed over the top k.
    """
    experts = router_logits[0].size(-1)
    probs = torch.cat([logits.reshape(-1, experts) for logits in router_logits]).float().softmax(-1)
    if attention_mask is None:
        weight = probs.new_ones(len(probs))
    else:
        weight = attention_mask.reshape(-1).to(probs).repeat(len(router_logits))
    chosen = F.one_hot(probs.topk(top_k, dim=-1).indices, experts).sum(1).to(probs)
    total = weight.sum()
    frequency = (weight @ chosen) / total
    probability = (weight @ probs) / total
    return experts * (frequency * probability).sum()
