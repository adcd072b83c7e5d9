"""A weight that is embedding and head gets the same gradient as from autograd, without a second buffer of its size."""

import pytest
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from sternpost.models.forward import enable_scoring
from sternpost.models.scores import ScoreRequest
from sternpost.models.tied import may_share
from sternpost.sft.loss import nll

PADDING = 3
IDS = torch.tensor([[1, 2, 2, 5, 9, PADDING], [7, 2, 1, 1, PADDING, PADDING]])
LABELS = IDS.masked_fill(IDS == PADDING, -100)


def build(tied: bool = True) -> PreTrainedModel:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=23, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, tie_word_embeddings=tied, pad_token_id=PADDING,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


def gradients(model: PreTrainedModel, loss: Tensor) -> list[Tensor]:
    loss.backward()
    return [parameter.grad for parameter in model.parameters()]


def expected(tied: bool = True) -> list[Tensor]:
    model = build(tied)
    logps = model(input_ids=IDS).logits[:, :-1].log_softmax(-1)
    keep = LABELS[:, 1:] != -100
    return gradients(model, -logps[keep].gather(-1, LABELS[:, 1:][keep].unsqueeze(-1)).sum())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("objective", [nll, None])
def test_gradients_are_those_of_autograd(tied: bool, objective: object) -> None:
    """With and without a loss known in advance, tied or not; padding adds nothing to the embedding."""
    model = build(tied)
    enable_scoring(model)
    scores = model(input_ids=IDS, score=ScoreRequest(LABELS, objective))
    found = gradients(model, -scores.logps.sum() if objective is None else scores.loss)
    torch.testing.assert_close(found, expected(tied), rtol=1e-4, atol=1e-6)


def test_gradients_accumulate() -> None:
    """Two forward passes before two backward passes, in either order, add up."""
    model = build()
    enable_scoring(model)
    first, second = (model(input_ids=IDS, score=ScoreRequest(LABELS, nll)).loss for _ in range(2))
    first.backward()
    found = gradients(model, second)
    torch.testing.assert_close(found, [2 * gradient for gradient in expected()], rtol=1e-4, atol=1e-6)


def test_gradient_that_bypasses_the_head() -> None:
    """A loss on the hidden states alone still reaches the embedding."""
    model = build()
    enable_scoring(model)
    found: list[Tensor] = []
    model.get_input_embeddings().register_forward_hook(lambda module, args, output: found.append(output))
    model(input_ids=IDS, score=ScoreRequest(LABELS, nll))
    found[0].sum().backward()
    counts = torch.bincount(IDS.flatten(), minlength=23).float()
    counts[PADDING] = 0
    torch.testing.assert_close(model.get_input_embeddings().weight.grad, counts.unsqueeze(1).expand(-1, 16))


def test_the_embedding_is_left_as_it_was() -> None:
    """After a forward pass the module has no forward of its own, so that it can be copied and saved."""
    model = build()
    enable_scoring(model)
    model(input_ids=IDS, score=ScoreRequest(LABELS, nll))
    assert "forward" not in vars(model.get_input_embeddings())


def test_what_is_not_shared() -> None:
    """Frozen weights, modules of other kinds, and weights that are not tied."""
    model = build()
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    assert may_share(embedding, head)
    assert not may_share(embedding, nn.Linear(16, 23))
    assert not may_share(nn.Sequential(embedding), head)
    embedding.weight.requires_grad_(False)
    assert not may_share(embedding, head)
