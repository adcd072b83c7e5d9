"""The options of GRPO: what they are called, what they are when left out, and what they accept."""

import dataclasses
import inspect
import math
import types
import typing

import pytest
import torch
from transformers import TrainingArguments

from sternpost import GRPOConfig
from sternpost.grpo import contract

OWN = sorted(inspect.get_annotations(GRPOConfig))
"""The options that Sternpost adds or whose default it changes."""


def literal(hint):
    """The `Literal` of a hint that is one, or a union with one."""
    parts = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    return next((part for part in parts if typing.get_origin(part) is typing.Literal), None)


DECLARED = {
    typing.get_args(value): name for name, value in vars(contract).items() if typing.get_origin(value) is typing.Literal
}
HINTS = {name: literal(hint) for name, hint in typing.get_type_hints(GRPOConfig).items() if name in OWN}
CHOICES = {name: typing.get_args(hint) for name, hint in HINTS.items() if hint is not None}
VALUES = [(name, value) for name, values in CHOICES.items() if values in DECLARED for value in values]


@pytest.fixture
def resolved(tmp_path):
    return GRPOConfig(output_dir=str(tmp_path), use_cpu=True)


def test_defaults_on_a_cpu(golden, resolved):
    """G13. On a CPU every option of our own, and every inherited one that we override, is as in the golden file."""
    golden("grpo_config", {name: getattr(resolved, name) for name in OWN if name != "bf16"})


@pytest.mark.parametrize(("cpu", "fast"), [({}, False), ({"amx_bf16": True, "cpu_name": "Intel(R) Xeon(R)"}, True)])
def test_bf16_follows_the_hardware(tmp_path, monkeypatch, cpu, fast):
    """G13. `bf16` is on by default where the CPU is fast at it, and nowhere if `fp16` is asked for."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    assert GRPOConfig(output_dir=str(tmp_path), use_cpu=True).bf16 is fast


def test_other_defaults_are_those_of_transformers(tmp_path, resolved):
    """G14. What is not overridden has the default that the installed transformers gives it."""
    theirs = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    renamed = {"activation_checkpointing", "activation_checkpointing_kwargs"}  # newer names of gradient_checkpointing*
    run = {"logging_dir"}  # holds the time of the run
    inherited = {field.name for field in dataclasses.fields(TrainingArguments)} - {*OWN, *renamed, *run}
    differing = {name for name in inherited if repr(getattr(resolved, name)) != repr(getattr(theirs, name))}
    assert differing == set()


def test_own_options_are_keyword_only(tmp_path):
    """G15. Options of our own are passed by keyword; the first positional one is `output_dir`; an unknown one is a
    TypeError that names it."""
    parameters = inspect.signature(GRPOConfig).parameters
    assert {parameters[name].kind for name in OWN} == {inspect.Parameter.KEYWORD_ONLY}
    assert next(iter(parameters)) == "output_dir"
    with pytest.raises(TypeError, match="max_lenght"):
        GRPOConfig(output_dir=str(tmp_path), max_lenght=5)


def test_choices_are_those_of_the_contract():
    """G16. The values that an option accepts are declared in the contract, but for those of vLLM, and every such
    declaration is in use."""
    assert {name for name, values in CHOICES.items() if values not in DECLARED} == {"vllm_mode", "vllm_model_impl"}
    assert set(DECLARED) <= set(CHOICES.values())


@pytest.mark.parametrize("name", CHOICES)
def test_other_values_are_refused(tmp_path, name):
    """G16. Any other value is refused by a ValueError that names the option, the value and what is accepted."""
    with pytest.raises(ValueError, match=f"{name}.*no_such_value") as caught:
        GRPOConfig(output_dir=str(tmp_path), **{name: "no_such_value"})
    assert all(repr(value) in str(caught.value) for value in CHOICES[name])


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_every_choice_trains(make_grpo_trainer, prompts, name, value):
    """G16. Every accepted value trains to a finite loss."""
    trainer = make_grpo_trainer(prompts, **{name: value})
    assert getattr(trainer.args, name) == value
    assert math.isfinite(trainer.train().training_loss)


def test_scale_rewards_by_truth(tmp_path):
    """G16. `scale_rewards` also takes `True` and `False`, for `group` and `none`."""
    for value, name in ((True, "group"), (False, "none")):
        assert GRPOConfig(output_dir=str(tmp_path), scale_rewards=value).scale_rewards == name


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sync_ref_model": True}, ["sync_ref_model", "beta"]),
        ({"num_generations": 1}, ["num_generations"]),
        ({"generation_batch_size": 8, "steps_per_generation": 3}, ["generation_batch_size", "steps_per_generation"]),
        ({"num_generations": 3}, ["num_generations", "per_device_train_batch_size"]),
        ({"steps_per_generation": 3, "gradient_accumulation_steps": 2}, ["steps_per_generation", "gradient_accum"]),
        ({"delta": 1.1}, ["delta", "epsilon_high"]),
        ({"generation_kwargs": {"temperature": 1}}, ["generation_kwargs", "temperature"]),
        ({"use_liger_kernel": True}, ["use_liger_kernel"]),
        ({"auto_find_batch_size": True}, ["auto_find_batch_size"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_exclude_each_other(tmp_path, options, named):
    """G17. Options that cannot be had, or not together, are a ValueError when the config is made, which names them."""
    with pytest.raises(ValueError) as caught:
        GRPOConfig(output_dir=str(tmp_path), **options)
    assert all(name in str(caught.value) for name in named)
