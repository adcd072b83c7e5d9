"""Which models and runs share prompts between answers, and what is said of those that do not."""

import logging

import pytest

from .. import tiny
from ..models.architectures import EXACT, PADDED_ONLY, build
from . import runs
from .runs import assert_same_run, make, train


def built(name: str):
    """A tiny model of an architecture that knows all tokens of the tests' tokenizer."""
    model = build(name)
    model.resize_token_embeddings(304)
    return model


def laid_out(trainer) -> str:
    batch = next(iter(trainer.get_train_dataloader()))
    return "shared" if "seq_lengths" in batch else "padded"


def test_prompts_are_shared_by_default(tmp_path):
    """And written out if that is asked for."""
    assert laid_out(make(tmp_path)) == "shared"
    assert laid_out(make(tmp_path, padding_free=False)) == "padded"


@pytest.mark.parametrize("name", [*PADDED_ONLY])
def test_models_whose_answers_would_mix(tmp_path, caplog, name):
    """They get an answer per row, said once with the reason; asking for the other layout is an error."""
    with caplog.at_level(logging.WARNING, "sternpost"):
        trainer = make(tmp_path, model=built(name))
    assert laid_out(trainer) == "padded"
    model = type(trainer.model).__name__
    (message,) = [record.getMessage() for record in caplog.records if record.name.startswith("sternpost")]
    assert message == (
        f"Each answer is computed with a prompt of its own, because the layers of {model} would let the answers of a "
        "pair see one another."
    )
    with pytest.raises(ValueError, match=r"`padding_free=True` lays pairs end to end, but the layers of .* Leave it"):
        make(tmp_path, model=built(name), padding_free=True)


@pytest.mark.parametrize("name", ["Llama", "Gemma3Text", "Mistral", "Qwen2", "Phi3"])
def test_architectures_train_alike_in_both_layouts(tmp_path, name):
    """Sliding windows, tied and untied heads: the same losses, gradients and weights."""
    assert name in EXACT
    options = {"max_steps": 2, "beta": 0.1, "learning_rate": 0.01}
    shared = train(tmp_path / "a", model=built(name), ref_model=built(name), padding_free=True, **options)
    assert_same_run(train(tmp_path / "b", model=built(name), padding_free=False, **options), shared, 1e-4)


def test_reference_that_would_mix(tmp_path):
    """Both models have to keep answers apart, also when only the reference cannot."""
    trainer = make(tmp_path, ref_model=built("Mamba"))
    assert laid_out(trainer) == "padded"
    trainer.train()
    assert len(tiny.losses(trainer)) == 3


@pytest.mark.parametrize("name", ["compute_metrics", "data_collator", "scorer"])
def test_what_needs_padding(tmp_path, name):
    """With a seam that sees rows the answers are written out; asking for the other layout as well is an error."""
    given = {name: lambda *_: {}}
    assert make(tmp_path, **given).train_dataset is not None
    if name != "data_collator":
        assert laid_out(make(tmp_path, **given)) == "padded"
    with pytest.raises(ValueError, match=r"`padding_free=True` lays pairs end to end, which .* do not allow\. Leave"):
        make(tmp_path, padding_free=True, **given)


def test_multiples(tmp_path):
    """`pad_to_multiple_of` reaches the collator in both layouts; `auto` and None add nothing."""
    for padding_free in (True, False):
        sizes = {
            multiple: next(
                iter(make(tmp_path, padding_free=padding_free, pad_to_multiple_of=multiple).get_train_dataloader())
            )["input_ids"].shape[1]
            for multiple in ("auto", None, 64)
        }
        assert sizes["auto"] == sizes[None]
        assert sizes[64] % 64 == 0
        assert sizes[64] - sizes[None] in range(64)


def test_long_rows_are_cut_where_batches_are_made(tmp_path):
    """`max_length` and `truncation_mode` reach the collator."""
    for mode in ("keep_start", "keep_end"):
        trainer = make(tmp_path, runs.pairs(8, longest=20), max_length=10, truncation_mode=mode, padding_free=False)
        for batch in trainer.get_train_dataloader():
            assert batch["input_ids"].shape[1] <= 10
            assert (batch["completion_mask"].sum(1) > 0).all()
