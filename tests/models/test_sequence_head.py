"""Models with one score per sequence: where they come from, and what is said about new weights."""

import logging

import pytest
import torch
from transformers import AutoModelForSequenceClassification, GraniteConfig, GraniteForCausalLM, SiglipConfig

from sternpost.models.sequence_head import AutoSequenceScorer, check_scores_sequences, scorer_class

from .architectures import SIZES


@pytest.fixture
def granite(tmp_path):
    """A language model of an architecture without a sequence-classification model in transformers."""
    torch.manual_seed(0)
    model = GraniteForCausalLM(GraniteConfig(**SIZES, tie_word_embeddings=False)).eval()
    model.save_pretrained(tmp_path / "lm")
    return model, tmp_path


def test_any_decoder_gets_a_head(granite, caplog):
    """The body of the checkpoint, a new head of one label, one line in the log; saved and loaded it is the same."""
    model, path = granite
    with caplog.at_level(logging.WARNING):
        scorer = AutoSequenceScorer.from_pretrained(str(path / "lm")).eval()
    assert type(scorer).__name__ == "GraniteForSequenceClassification"
    assert [record.name for record in caplog.records] == ["sternpost.models.sequence_head"]
    check_scores_sequences(scorer)
    tokens = torch.tensor([[5, 6, 7, 0], [8, 9, 10, 11]])
    mask = (tokens != 0).long()
    with torch.no_grad():
        hidden = model.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        rewards = scorer(input_ids=tokens, attention_mask=mask).logits
        torch.testing.assert_close(rewards, scorer.score(hidden[[0, 1], [2, 3]]))
    scorer.save_pretrained(path / "scorer")
    caplog.clear()
    with torch.no_grad():
        again = AutoSequenceScorer.from_pretrained(str(path / "scorer")).eval()
        torch.testing.assert_close(again(input_ids=tokens, attention_mask=mask).logits, rewards)
    assert not caplog.records


def test_other_missing_weights_are_reported(granite, caplog):
    """Only what is known to be new is kept quiet: a checkpoint that lacks a layer is reported as by transformers."""
    model, path = granite
    weights = {name: weight for name, weight in model.state_dict().items() if "layers.1.mlp" not in name}
    model.save_pretrained(path / "broken", state_dict=weights)
    with caplog.at_level(logging.WARNING):
        AutoSequenceScorer.from_pretrained(str(path / "broken"))
    assert "LOAD REPORT" in caplog.text
    assert "layers.1.mlp" in caplog.text


def test_transformers_own_class_is_used_where_there_is_one():
    """No second class for an architecture that has one."""
    from transformers import LlamaConfig

    assert scorer_class(LlamaConfig()) is AutoModelForSequenceClassification
    assert scorer_class(GraniteConfig()) is scorer_class(GraniteConfig())


def test_architectures_without_a_body_are_refused():
    """There is nothing to put a head on."""

    class UnknownConfig(SiglipConfig):
        model_type = "unknown"

    with pytest.raises(ValueError, match="transformers has no model for a UnknownConfig"):
        scorer_class(UnknownConfig())
