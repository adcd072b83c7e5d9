"""A head in float32 makes logits in float32, whatever the rest computes in."""

import pytest
import torch

from sternpost.models.forward import enable_scoring
from sternpost.models.head import Float32Head, compute_head_in_float32
from sternpost.models.scores import ScoreRequest

from .. import tiny

TOKENS = torch.tensor([[5, 6, 7, 8, 9, 10]])


@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_made_in_float32(tied):
    """From hidden states in bfloat16; embeddings that are tied to the head still give bfloat16."""
    model = tiny.model(tie_word_embeddings=tied).bfloat16().eval()
    exact = model.get_output_embeddings().weight.float()
    compute_head_in_float32(model)
    enable_scoring(model)
    head = model.get_output_embeddings()
    assert head.weight.dtype == torch.float32
    assert (model.get_input_embeddings().weight is head.weight) == tied
    hidden = model.model(input_ids=TOKENS).last_hidden_state
    assert hidden.dtype == torch.bfloat16
    logits = model(input_ids=TOKENS).logits
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, hidden.float() @ exact.T)
    scores = model(input_ids=TOKENS, score=ScoreRequest(TOKENS))
    expected = logits.log_softmax(-1)[:, :-1].gather(-1, TOKENS[:, 1:, None])[..., 0]
    torch.testing.assert_close(scores.logps, expected, atol=1e-5, rtol=1e-5)


def test_also_under_autocast():
    """Which would make the products in bfloat16."""
    model = tiny.model().eval()
    compute_head_in_float32(model)
    enable_scoring(model)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=TOKENS).last_hidden_state
        logits = model(input_ids=TOKENS).logits
        scores = model(input_ids=TOKENS, score=ScoreRequest(TOKENS))
    exact = hidden.float() @ model.get_output_embeddings().weight.T
    torch.testing.assert_close(logits, exact)
    expected = exact.log_softmax(-1)[:, :-1].gather(-1, TOKENS[:, 1:, None])[..., 0]
    torch.testing.assert_close(scores.logps, expected, atol=1e-5, rtol=1e-5)


def test_only_plain_heads():
    """An adapter on the head is refused."""
    from peft import LoraConfig, get_peft_model

    policy = get_peft_model(tiny.model(), LoraConfig(target_modules=["lm_head"]))
    with pytest.raises(ValueError, match="needs a plain linear head"):
        compute_head_in_float32(policy.get_base_model())
    assert not isinstance(policy.get_base_model().get_output_embeddings(), Float32Head)
