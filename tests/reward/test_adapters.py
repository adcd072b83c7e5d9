"""Reward models with adapters of PEFT: the adapter and the head are trained, saved and restored."""

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model

from sternpost.models.sequence_head import HEADS

from . import runs
from .runs import assert_same_run, lines, make, train


def lora(**options) -> LoraConfig:
    return LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, **options)


def head_of(model) -> torch.Tensor:
    """The weights of the trained copy of the head."""
    return next(weight for name, weight in model.named_parameters() if "score.modules_to_save" in name)


@pytest.mark.parametrize("config", [{}, {"task_type": "SEQ_CLS"}, {"modules_to_save": ["score"]}], ids=str)
def test_the_head_is_trained_with_the_adapter(tmp_path, config):
    """Whether the config says so or forgets it; the base stays as it is, and the config too."""
    given = lora(**config)
    trainer = make(tmp_path, peft_config=given)
    assert given.modules_to_save == config.get("modules_to_save")
    before = runs.weights(trainer.model)
    trainer.train()
    after = runs.weights(trainer.model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "lora_" in name or "modules_to_save" in name}
    assert any("score" in name for name in moved)


def test_the_head_is_saved_and_restored(tmp_path):
    """An adapter's checkpoint holds the head: loaded on the same base, it gives the same rewards."""
    trainer = train(tmp_path, peft_config=lora(), save_strategy="steps", save_steps=3)
    loaded = PeftModel.from_pretrained(runs.reward_model(), tmp_path / "checkpoint-3")
    torch.testing.assert_close(head_of(loaded), head_of(trainer.model).detach())
    assert not torch.equal(head_of(loaded), runs.reward_model().score.weight)
    tokens = torch.arange(5, 15)[None]
    trainer.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(tokens).logits, trainer.model(tokens).logits)


def test_resumed_adapter_is_uninterrupted(tmp_path):
    """Losses and weights, head included."""
    options = {"peft_config": lora(), "save_strategy": "steps", "save_steps": 1, "optim": "adamw_torch"}
    whole = train(tmp_path / "a", **options)
    again = train(tmp_path / "a", resume=str(tmp_path / "a" / "checkpoint-1"), **options)
    assert_same_run(again, whole)


@pytest.mark.parametrize("options", [{"padding_free": False}, {"gradient_checkpointing": True}], ids=str)
def test_layouts_agree_with_adapters(tmp_path, options):
    """Sharing beginnings and recomputing layers change nothing."""
    plain = train(tmp_path / "a", peft_config=lora(), gradient_checkpointing=False)
    assert_same_run(train(tmp_path / "b", peft_config=lora(), **options), plain)


def test_given_adapter_is_trained(tmp_path):
    """A model that carries an adapter goes on with it."""
    model = get_peft_model(runs.reward_model(), lora(task_type="SEQ_CLS"))
    trainer = train(tmp_path, model=model, max_steps=6)
    assert lines(trainer)[-1]["loss"] < lines(trainer)[0]["loss"]


def test_prompt_tuning_pads(tmp_path):
    """Virtual tokens stand before every sequence; the head is trained too, and rewards do not depend on padding."""
    config = PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)
    options = {"peft_config": config, "gradient_checkpointing": False}
    one = train(tmp_path / "a", **options)
    assert "seq_lengths" not in next(iter(one.get_train_dataloader()))
    head = next(weight for name, weight in one.model.named_parameters() if "score" in name and weight.requires_grad)
    assert not torch.equal(head, runs.reward_model().score.weight)
    wide = train(tmp_path / "b", pad_to_multiple_of=64, **options)
    assert_same_run(wide, one)


def test_frozen_heads_are_refused(tmp_path):
    """A given adapter that leaves the head as it is."""
    model = get_peft_model(runs.reward_model(), LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(ValueError, match="The adapter of `model` leaves the head as it is"):
        make(tmp_path, model=model)


def test_adapters_for_other_tasks_are_refused(tmp_path):
    """An adapter for language models would leave the head as it is."""
    with pytest.raises(ValueError, match='`peft_config` has `task_type="CAUSAL_LM"`, but the model scores sequences'):
        make(tmp_path, peft_config=lora(task_type="CAUSAL_LM"))


def test_peft_knows_our_heads():
    """The names of heads that we look for are the ones that PEFT trains with `SEQ_CLS`."""
    wrapped = get_peft_model(runs.reward_model(), lora(task_type="SEQ_CLS"))
    assert set(HEADS) <= set(wrapped.peft_config["default"].modules_to_save)
