"""The options: what they are called, what they are when left out, and what they accept."""

import dataclasses
import inspect
import math
import typing

import pytest
import torch
from transformers import TrainingArguments

from sternpost import SFTConfig
from sternpost.sft import contract

OWN = sorted(inspect.get_annotations(SFTConfig))
"""The options that Sternpost adds or whose default it changes."""
CHOICES = {
    name: hint for name, hint in typing.get_type_hints(SFTConfig).items()
    if name in OWN and typing.get_origin(hint) is typing.Literal
}  # fmt: skip
VALUES = [(name, value) for name, alias in CHOICES.items() for value in typing.get_args(alias)]


@pytest.fixture
def resolved(tmp_path):
    return SFTConfig(output_dir=str(tmp_path), use_cpu=True)


def test_defaults_on_a_cpu(golden, resolved):
    """S15. On a CPU every option of our own, and every inherited one that we override, is as in the golden file."""
    golden("sft_config", {name: getattr(resolved, name) for name in OWN if name != "bf16"})


@pytest.mark.parametrize(
    ("cpu", "fast"),
    [
        ({}, False),
        ({"avx512_bf16": True, "cpu_name": "Intel(R) Xeon(R)"}, False),
        ({"amx_bf16": True, "cpu_name": "Intel(R) Xeon(R)"}, True),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, True),
    ],
)
def test_bf16_follows_the_hardware(tmp_path, monkeypatch, cpu, fast):
    """S15. `bf16` is on by default where the CPU is fast at it, and nowhere if `fp16` is asked for."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    assert SFTConfig(output_dir=str(tmp_path), use_cpu=True).bf16 is fast


def test_other_defaults_are_those_of_transformers(tmp_path, resolved):
    """S16. What is not overridden has the default that the installed transformers gives it."""
    theirs = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    renamed = {
        "activation_checkpointing",
        "activation_checkpointing_kwargs",
    }  # newer names of `gradient_checkpointing*`
    run = {"logging_dir"}  # holds the time of the run
    inherited = {field.name for field in dataclasses.fields(TrainingArguments)} - {*OWN, *renamed, *run}
    differing = {name for name in inherited if repr(getattr(resolved, name)) != repr(getattr(theirs, name))}
    assert differing == set()


def test_own_options_are_keyword_only():
    """S17. Options of our own are passed by keyword, so that their order is no promise; the first positional one is
    `output_dir`."""
    parameters = inspect.signature(SFTConfig).parameters
    assert {parameters[name].kind for name in OWN} == {inspect.Parameter.KEYWORD_ONLY}
    assert next(iter(parameters)) == "output_dir"


def test_unknown_options_are_refused(tmp_path):
    """S17. An option that does not exist is a TypeError that names it."""
    with pytest.raises(TypeError, match="max_lenght"):
        SFTConfig(output_dir=str(tmp_path), max_lenght=5)


def test_choices_are_those_of_the_contract():
    """S18. The values that an option accepts are declared in the contract, and every such declaration is in use."""
    declared = [value for value in vars(contract).values() if typing.get_origin(value) is typing.Literal]
    assert sorted(map(typing.get_args, declared)) == sorted(map(typing.get_args, CHOICES.values()))


@pytest.mark.parametrize("name", CHOICES)
def test_other_values_are_refused(tmp_path, name):
    """S18. Any other value is refused by a ValueError that names the option, the value and what is accepted."""
    with pytest.raises(ValueError, match=f"{name}.*no_such_value") as caught:
        SFTConfig(output_dir=str(tmp_path), **{name: "no_such_value"})
    assert all(repr(value) in str(caught.value) for value in typing.get_args(CHOICES[name]))


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_every_choice_trains(make_trainer, conversations, name, value):
    """S18. Every accepted value trains to a finite loss."""
    needed = {"packing": True} if name == "packing_strategy" else {}
    trainer = make_trainer(conversations, max_length=24, **needed, **{name: value})
    assert getattr(trainer.args, name) == value
    assert math.isfinite(trainer.train().training_loss)
