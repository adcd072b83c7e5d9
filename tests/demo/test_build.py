"""The build script: the same seed gives the same tokenizer, corpus and weights."""

from itertools import islice

import pytest
import torch
from transformers import AutoTokenizer

from sternpost import demo
from sternpost.demo import build


@pytest.fixture(scope="module")
def tokenizer():
    return build.train_tokenizer(seed=0)


def test_the_shipped_tokenizer_is_what_the_build_trains(tokenizer):
    """Vocabulary, merges and template."""
    shipped = AutoTokenizer.from_pretrained(demo.path())
    assert tokenizer.backend_tokenizer.to_str() == shipped.backend_tokenizer.to_str()
    assert tokenizer.chat_template == shipped.chat_template


def test_the_corpus_holds_no_conversation(tokenizer):
    """The base model has to learn from the demo's conversations what a turn is."""
    ids = [token for row in islice(build.packed_rows(tokenizer, 0, 128), 200) for token in row]
    assert tokenizer.convert_tokens_to_ids(build.START) not in ids
    assert tokenizer.eos_token_id in ids
    assert all(len(row) == 64 for row in islice(build.packed_rows(tokenizer, 0, 64), 5))


def test_the_corpus_holds_no_held_out_question():
    """What the base model is asked later, it has not read before."""
    questions = {row["prompt"][-1]["content"] for row in demo.load("held_out")}
    first_lines = {text.splitlines()[0] for text in islice(build.corpus(0), 20_000)}
    assert len(first_lines) > 10_000
    assert not questions & first_lines


def test_pretraining_learns_and_is_deterministic(tokenizer, tmp_path):
    """Two short runs from one seed give identical weights, and what is saved is them to fp16."""
    first, again = (build.pretrain(tokenizer, seed=3, steps=3, batch=2, length=32) for _ in range(2))
    weights = first.state_dict()
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in weights.items())
    fresh = build.new_model(tokenizer, seed=3).state_dict()
    assert any(not torch.equal(weight, fresh[name]) for name, weight in weights.items())
    build.write_model(again, tokenizer, tmp_path)
    loaded = type(first).from_pretrained(tmp_path)
    assert loaded.dtype == torch.float32
    for name, weight in loaded.state_dict().items():
        torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=1e-6)
