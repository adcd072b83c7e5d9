"""What another engine is given is what `save_pretrained` would write, adapters merged; the policy stays as it is."""

import copy
from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model
from safetensors.torch import load_file

from sternpost.generation.vllm_weights import check_sendable, checkpoint_weights
from tests import tiny
from tests.models.architectures import EXACT, PADDED_ONLY, build

LINEAR = ["q_proj", "v_proj", "down_proj"]
ADAPTERS: dict[str, Callable[[], LoraConfig]] = {
    "lora": lambda: LoraConfig(r=4, target_modules=LINEAR),
    "dora": lambda: LoraConfig(r=4, target_modules=LINEAR, use_dora=True),
    "rslora": lambda: LoraConfig(r=4, target_modules=LINEAR, use_rslora=True),
    "whole modules": lambda: LoraConfig(r=4, target_modules=LINEAR, modules_to_save=["norm"]),
    "some tokens": lambda: LoraConfig(r=4, target_modules=LINEAR, trainable_token_indices={"embed_tokens": [3, 5]}),
    "embedding": lambda: LoraConfig(r=4, target_modules=[*LINEAR, "embed_tokens"]),
}


def saved(model, directory) -> dict[str, torch.Tensor]:
    model.save_pretrained(directory)
    return load_file(directory / "model.safetensors")


def adapted(name: str, **config):
    """A policy whose adapter does something."""
    model = get_peft_model(tiny.model(**config), ADAPTERS[name]())
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize("name", [*EXACT, *PADDED_ONLY])
def test_names_and_values_are_those_of_a_checkpoint(name, tmp_path):
    """In every architecture, also where transformers holds experts in one piece; weights that are one, once."""
    model = build(name)
    sent = dict(checkpoint_weights(model))
    expected = saved(model, tmp_path)
    assert set(sent) == set(expected)
    assert all(torch.equal(sent[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_are_merged(name, tmp_path):
    """As `merge_and_unload` would."""
    model = adapted(name, tie_word_embeddings=False)
    sent = dict(checkpoint_weights(model))
    expected = saved(copy.deepcopy(model).merge_and_unload(), tmp_path)
    assert set(sent) == set(expected)
    for key in expected:
        torch.testing.assert_close(sent[key], expected[key], rtol=0, atol=1e-6)
    name = "model.layers.0.mlp.down_proj.weight"
    assert not torch.equal(sent[name], model.get_base_model().get_submodule(name[:-7]).base_layer.weight)


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_live_adapter_is_not_disturbed(name):
    """Not a bit of it, nor what it computes, nor what is trained; also when the sender stops half way."""
    model = adapted(name).eval()
    before = copy.deepcopy(model.state_dict())
    identities = {key: (id(each), each.requires_grad) for key, each in model.named_parameters()}
    ids = torch.arange(3, 20)[None]
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    dict(checkpoint_weights(model))
    weights = checkpoint_weights(model)
    next(weights)
    weights.close()
    assert {key: (id(each), each.requires_grad) for key, each in model.named_parameters()} == identities
    assert all(torch.equal(each, before[key]) for key, each in model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, logits)


def test_a_merged_adapter_is_not_merged_twice():
    """What the user merged is sent as it is."""
    model = adapted("lora")
    sent = dict(checkpoint_weights(model))
    model.merge_adapter()
    again = dict(checkpoint_weights(model))
    assert set(again) == set(sent)
    for key in sent:
        torch.testing.assert_close(again[key], sent[key])


def test_wrappers_have_no_part_in_names():
    """Compiled and distributed models, and recomputed layers, are sent under the same names."""
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    plain = set(dict(checkpoint_weights(tiny.model())))
    model = tiny.model()
    model.model.layers[1] = checkpoint_wrapper(model.model.layers[1])
    assert set(dict(checkpoint_weights(model))) == plain
    assert set(dict(checkpoint_weights(torch.compile(tiny.model())))) == plain


def test_what_cannot_be_sent():
    """Virtual tokens and several adapters at once are refused, with the way out."""
    virtual = get_peft_model(tiny.model(), PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=2))
    with pytest.raises(ValueError, match=r"virtual tokens.*such as LoRA"):
        check_sendable(virtual)
    several = adapted("lora")
    several.add_adapter("second", ADAPTERS["lora"]())
    several.base_model.set_adapter(["default", "second"])
    with pytest.raises(ValueError, match=r"Several adapters are active"):
        check_sendable(several)
    quantised = tiny.model()
    quantised.hf_quantizer = object()
    with pytest.raises(ValueError, match=r"quantised.*use_vllm=False"):
        check_sendable(quantised)
