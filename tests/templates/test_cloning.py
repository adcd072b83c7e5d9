"""Taking over a chat template: template, tokens and end of sequence agree between tokenizer and model."""

import pytest
import torch

from sternpost import clone_chat_template

from .. import tiny


def source(path, tokens: int = 2) -> str:
    other = tiny.tokenizer()
    other.add_tokens([f"<new {number}>" for number in range(tokens)])
    other.eos_token = "<new 0>"
    other.chat_template = "{{ messages[0].content }}<new 0>"
    other.save_pretrained(path)
    return str(path)


def test_template_tokens_and_end(tmp_path):
    """The tokenizer has the other's template and tokens, the model ends with the same token."""
    model, tokenizer, added = clone_chat_template(tiny.model(), tiny.tokenizer(), source(tmp_path))
    assert tokenizer.chat_template == "{{ messages[0].content }}<new 0>"
    assert tokenizer.convert_ids_to_tokens(added) == ["<new 0>", "<new 1>"]
    assert tokenizer.eos_token_id == model.config.eos_token_id == model.generation_config.eos_token_id == added[0]
    assert tokenizer("the<new 1>")["input_ids"][-1] == added[1]


def test_embeddings_grow_to_a_multiple(tmp_path):
    """Too few embeddings grow, to a multiple; those of known tokens stay."""
    before = tiny.model().get_input_embeddings().weight.detach()
    model, tokenizer, _ = clone_chat_template(tiny.model(), tiny.tokenizer(), source(tmp_path, tokens=20), 64)
    after = model.get_input_embeddings().weight.detach()
    assert after.size(0) == 320 >= len(tokenizer)
    assert torch.equal(after[: len(before)], before)
    model, tokenizer, _ = clone_chat_template(tiny.model(), tiny.tokenizer(), source(tmp_path, tokens=20), None)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)


def test_spare_embeddings_are_kept(tmp_path):
    """A model with more embeddings than tokens keeps them, and a second time nothing is new."""
    model, tokenizer, added = clone_chat_template(tiny.model(), tiny.tokenizer(), source(tmp_path))
    assert model.get_input_embeddings().num_embeddings == 304
    assert len(added) == 2
    assert clone_chat_template(model, tokenizer, str(tmp_path))[2] == []


def test_source_without_template(tmp_path):
    """A source that has no template is named."""
    other = tiny.tokenizer()
    other.chat_template = None
    other.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"`source_tokenizer_path=.*this tokenizer has no chat template"):
        clone_chat_template(tiny.model(), tiny.tokenizer(), str(tmp_path))
