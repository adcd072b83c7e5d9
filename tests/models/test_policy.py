"""Model and tokenizer agree on what ends a sequence, and no end that a model knows is forgotten."""

from sternpost.models.policy import align_special_tokens, end_tokens, stop_tokens

from .. import tiny


def test_all_end_tokens_stay():
    """A chat model ends turns and texts by different tokens; the tokenizer's comes first, and all of them stop a
    completion."""
    model, tokenizer = tiny.model(), tiny.tokenizer()
    model.generation_config.eos_token_id = [7, 9]
    align_special_tokens(model, tokenizer, None)
    assert end_tokens(model) == [tokenizer.eos_token_id, 7, 9]
    assert stop_tokens(model, tokenizer) == {tokenizer.eos_token_id, tokenizer.pad_token_id, 7, 9}
    align_special_tokens(model, tokenizer, None)
    assert end_tokens(model) == [tokenizer.eos_token_id, 7, 9]


def test_one_end_token_is_a_number():
    """As model files usually have it."""
    model, tokenizer = tiny.model(), tiny.tokenizer()
    align_special_tokens(model, tokenizer, None)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.eos_token_id == tokenizer.eos_token_id
