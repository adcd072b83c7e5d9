"""The load-balancing loss."""

import torch
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from sternpost.models.router import load_balancing_loss


def test_equals_the_formula_token_by_token():
    """E * sum over experts of (share of tokens sent there) x (mean probability), padding left out."""
    torch.manual_seed(0)
    layers = tuple(torch.randn(2 * 5, 4) for _ in range(3))
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    sent, probability, tokens = torch.zeros(4), torch.zeros(4), 0
    for logits in layers:
        for row, real in zip(logits, mask.flatten(), strict=True):
            if real:
                tokens += 1
                probability += row.softmax(0)
                for expert in row.topk(2).indices:
                    sent[expert] += 1
    expected = 4 * (sent / tokens * probability / tokens).sum()
    torch.testing.assert_close(load_balancing_loss(layers, 2, mask), expected)


def test_equals_transformers():
    """The same number as the models themselves report."""
    torch.manual_seed(1)
    layers = tuple(torch.randn(12, 8) for _ in range(2))
    torch.testing.assert_close(load_balancing_loss(layers, 3), load_balancing_loss_func(layers, 8, 3))


def test_even_routing_is_the_least():
    """Experts that are used alike give `top_k`; one favourite costs more."""
    even = torch.eye(4).repeat(5, 1) * 10
    assert load_balancing_loss((even,), 1) < load_balancing_loss((torch.tensor([[9.0, 0, 0, 0]]).repeat(20, 1),), 1)
