"""The reference: frozen, without noise, the policy's start, and mixed exactly as asked for."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from transformers import AutoModelForCausalLM

from sternpost import DPOConfig
from sternpost.models.reference import (
    ADAPTER,
    FollowPolicy,
    adapter_pairs,
    add_reference_adapter,
    as_reference,
    disable_dropout,
    load_reference,
    prepare_reference,
    restore_state,
    whole_state,
)

from .. import tiny

peft = pytest.importorskip("peft")
TOKENS = torch.arange(3, 15)[None]


def adapted(**config):
    """A model with an adapter that changes what it says."""
    lora = peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=4, **config)
    model = peft.get_peft_model(tiny.model(), lora)
    perturb(model, "lora_B")
    return model


def perturb(model, names: str) -> None:
    for name, weight in model.named_parameters():
        if names in name and weight.requires_grad:
            nn.init.normal_(weight, std=0.2)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


def differs(left, right) -> bool:
    return not torch.allclose(left, right, atol=1e-4)


# ---- Another model


def test_copy_of_the_policy():
    """Without a model the reference is a frozen copy in evaluation mode, with weights of its own."""
    policy = tiny.model().train()
    reference = load_reference(None, policy, None, None, None)
    assert not reference.training
    assert not any(weight.requires_grad for weight in reference.parameters())
    assert all(weight.requires_grad for weight in policy.parameters())
    before = logits(policy.eval())
    assert torch.equal(logits(reference), before)
    with torch.no_grad():
        policy.model.embed_tokens.weight.add_(1)
    assert torch.equal(logits(reference), before)


def test_reference_from_a_path(tmp_path):
    """A path is loaded as the policy is."""
    tiny.model(seed=3).save_pretrained(tmp_path)
    args = DPOConfig(str(tmp_path / "run"), model_init_kwargs={"dtype": "bfloat16"})
    reference = load_reference(str(tmp_path), tiny.model(), AutoModelForCausalLM, args, None)
    assert reference.dtype == torch.bfloat16
    assert not any(weight.requires_grad for weight in reference.parameters())


def test_policy_is_no_reference():
    """The same object would be trained along."""
    policy = tiny.model()
    with pytest.raises(ValueError, match="the same object as `model`, so it would be trained along"):
        load_reference(policy, policy, None, None, None)


def test_weights_that_are_elsewhere_cannot_be_copied():
    """A policy without its weights, as sharding leaves it, asks for a path."""
    policy = tiny.model().to("meta")
    with pytest.raises(ValueError, match="Pass its path as `ref_model`, or set `precompute_ref_log_probs=True`"):
        load_reference(None, policy, None, None, None)


@pytest.mark.parametrize("config", [{"attention_dropout": 0.5}, {}])
def test_no_dropout_is_left(config):
    """Dropout layers and the dropout inside attention are off, so that a model in training repeats itself."""
    model = tiny.model(**config)
    model.model.layers[0].mlp = nn.Sequential(model.model.layers[0].mlp, nn.Dropout(0.5))
    model.train()
    assert differs(logits(model), logits(model))
    disable_dropout(model)
    assert torch.equal(logits(model), logits(model))


# ---- The policy without its adapter, or with another one


@pytest.mark.parametrize("training", [False, True])
def test_adapter_off(training):
    """The reference of a policy with one adapter is its base; afterwards the adapter is on and trained as before."""
    model = adapted()
    model.train(training)
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    before = logits(model)
    with as_reference(model):
        torch.testing.assert_close(logits(model), logits(tiny.model()))
    assert differs(before, logits(tiny.model()))
    assert torch.equal(logits(model), before)
    assert [name for name, weight in model.named_parameters() if weight.requires_grad] == trained


def test_adapter_kept_as_the_reference():
    """The adapter `ref` is the policy as it was, frozen, and no second base."""
    model = adapted()
    base = sum(weight.numel() for name, weight in model.named_parameters() if "lora" not in name)
    adapter = sum(weight.numel() for name, weight in model.named_parameters() if "lora" in name)
    before, trained = logits(model), [name for name, weight in model.named_parameters() if weight.requires_grad]
    add_reference_adapter(model)
    assert sum(weight.numel() for weight in model.parameters()) == base + 2 * adapter
    assert [name for name, weight in model.named_parameters() if weight.requires_grad] == trained
    assert torch.equal(logits(model), before)
    perturb(model, "lora_B")
    now = logits(model)
    assert differs(now, before)
    with as_reference(model):
        assert torch.equal(logits(model), before)
    assert torch.equal(logits(model), now)
    assert [name for name, weight in model.named_parameters() if weight.requires_grad] == trained


def test_modules_saved_with_an_adapter_are_part_of_it():
    """Modules that are trained whole have their reference too."""
    model = adapted(modules_to_save=["lm_head"])
    perturb(model, "modules_to_save")
    before = logits(model)
    add_reference_adapter(model)
    perturb(model, "modules_to_save")
    assert differs(logits(model), before)
    with as_reference(model):
        assert torch.equal(logits(model), before)
    names = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert any("modules_to_save" in name for name in names)
    assert not any(f".{ADAPTER}." in name for name in names)


def test_an_adapter_of_that_name_is_kept():
    """An adapter `ref` that is there already is the reference as it is, and is frozen."""
    model = adapted()
    model.add_adapter(ADAPTER, model.peft_config["default"])
    model.set_adapter(ADAPTER)
    perturb(model, "lora_B")
    expected = logits(model)
    model.set_adapter("default")
    add_reference_adapter(model)
    with as_reference(model):
        assert torch.equal(logits(model), expected)
    assert not any(weight.requires_grad for name, weight in model.named_parameters() if f".{ADAPTER}." in name)


def test_a_model_without_an_adapter_is_itself():
    """Nothing to switch off."""
    model = tiny.model()
    before = logits(model)
    with as_reference(model):
        assert torch.equal(logits(model), before)


# ---- Following the policy


def follow(reference, model, alpha: float, steps: int, step: int) -> FollowPolicy:
    callback = FollowPolicy(reference, Accelerator(cpu=True), alpha, steps)
    callback.on_train_begin(None, SimpleNamespace(global_step=0), None, model=model)
    callback.on_step_end(None, SimpleNamespace(global_step=step), None, model=model)
    return callback


@pytest.mark.parametrize("alpha", [0.25, 0.6, 1.0])
def test_exact_mixture(alpha):
    """Each weight becomes `alpha policy + (1 - alpha) reference`, tied weights once."""
    policy, reference = tiny.model(1), tiny.model(2)
    before = {name: weight.clone() for name, weight in reference.named_parameters()}
    follow(reference, policy, alpha, 2, 4)
    for name, weight in reference.named_parameters():
        mixed = alpha * policy.get_parameter(name) + (1 - alpha) * before[name]
        torch.testing.assert_close(weight, mixed, rtol=1e-6, atol=1e-7)


def test_exact_mixture_of_adapters():
    """Of adapters, each of the two factors is mixed; the base is not touched."""
    model = adapted()
    add_reference_adapter(model)
    perturb(model, "lora")
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    follow(None, model, 0.3, 1, 1)
    pairs = adapter_pairs(model, "default")
    assert len(pairs) == 2 * 14  # both factors of seven projections in two layers
    for name, weight in model.named_parameters():
        mixed = before[name]
        if f".{ADAPTER}." in name:
            mixed = 0.3 * before[name.replace(ADAPTER, "default")] + 0.7 * before[name]
        torch.testing.assert_close(weight, mixed, rtol=1e-6, atol=1e-7)


def test_nothing_moves_between_synchronisations():
    """Only every `steps`-th step mixes."""
    policy, reference = tiny.model(1), tiny.model(2)
    before = logits(reference)
    follow(reference, policy, 1.0, 4, 3)
    assert torch.equal(logits(reference), before)
    follow(reference, policy, 1.0, 4, 4)
    assert torch.equal(logits(reference), logits(policy))


@pytest.mark.parametrize("model", [tiny.model(intermediate_size=24), adapted()], ids=["smaller", "adapter"])
def test_reference_of_another_shape(model):
    """Weights that cannot be mixed are an error before the first step."""
    with pytest.raises(ValueError, match=r"their shapes differ\. Pass a reference of the same architecture"):
        follow(tiny.model(), model, 0.5, 1, 1)


def test_state_of_a_reference():
    """What a checkpoint keeps of a reference makes another one the same."""
    accelerator = Accelerator(cpu=True)
    first, second = (prepare_reference(tiny.model(seed), accelerator) for seed in (1, 2))
    restore_state(second, whole_state(first))
    assert torch.equal(logits(first), logits(second))
