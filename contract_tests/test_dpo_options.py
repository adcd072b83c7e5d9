"""The options of preference learning: what they are called, what they are when left out, and what they accept."""

import dataclasses
import inspect
import math
import typing

import pytest
import torch
from transformers import TrainingArguments

from sternpost import DPOConfig
from sternpost.dpo import contract

OWN = sorted(inspect.get_annotations(DPOConfig))
"""The options that Sternpost adds or whose default it changes."""
HINTS = {name: hint for name, hint in typing.get_type_hints(DPOConfig).items() if name in OWN}
LISTS = {name for name, hint in HINTS.items() if typing.get_origin(hint) is list}
CHOICES = {name: typing.get_args(hint)[0] if name in LISTS else hint for name, hint in HINTS.items()}
CHOICES = {name: hint for name, hint in CHOICES.items() if typing.get_origin(hint) is typing.Literal}
VALUES = [(name, value) for name, alias in CHOICES.items() for value in typing.get_args(alias)]
NEEDED = {"exo_pair": {"label_smoothing": 0.1}}
"""What a value cannot do without."""


@pytest.fixture
def resolved(tmp_path):
    return DPOConfig(output_dir=str(tmp_path), use_cpu=True)


def test_defaults_on_a_cpu(golden, resolved):
    """D15. On a CPU every option of our own, and every inherited one that we override, is as in the golden file."""
    golden("dpo_config", {name: getattr(resolved, name) for name in OWN if name != "bf16"})


@pytest.mark.parametrize(("cpu", "fast"), [({}, False), ({"amx_bf16": True, "cpu_name": "Intel(R) Xeon(R)"}, True)])
def test_bf16_follows_the_hardware(tmp_path, monkeypatch, cpu, fast):
    """D15. `bf16` is on by default where the CPU is fast at it, and nowhere if `fp16` is asked for."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    assert DPOConfig(output_dir=str(tmp_path), use_cpu=True).bf16 is fast


def test_other_defaults_are_those_of_transformers(tmp_path, resolved):
    """D16. What is not overridden has the default that the installed transformers gives it."""
    theirs = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    renamed = {"activation_checkpointing", "activation_checkpointing_kwargs"}  # newer names of gradient_checkpointing*
    run = {"logging_dir"}  # holds the time of the run
    inherited = {field.name for field in dataclasses.fields(TrainingArguments)} - {*OWN, *renamed, *run}
    differing = {name for name in inherited if repr(getattr(resolved, name)) != repr(getattr(theirs, name))}
    assert differing == set()


def test_own_options_are_keyword_only():
    """D17. Options of our own are passed by keyword, so that their order is no promise; the first positional one is
    `output_dir`."""
    parameters = inspect.signature(DPOConfig).parameters
    assert {parameters[name].kind for name in OWN} == {inspect.Parameter.KEYWORD_ONLY}
    assert next(iter(parameters)) == "output_dir"


def test_unknown_options_are_refused(tmp_path):
    """D17. An option that does not exist is a TypeError that names it."""
    with pytest.raises(TypeError, match="max_lenght"):
        DPOConfig(output_dir=str(tmp_path), max_lenght=5)


def test_choices_are_those_of_the_contract():
    """D18. The values that an option accepts are declared in the contract, and every such declaration is in use."""
    declared = [value for value in vars(contract).values() if typing.get_origin(value) is typing.Literal]
    assert sorted(map(typing.get_args, declared)) == sorted(map(typing.get_args, CHOICES.values()))


@pytest.mark.parametrize("name", CHOICES)
def test_other_values_are_refused(tmp_path, name):
    """D18. Any other value is refused by a ValueError that names the option, the value and what is accepted."""
    with pytest.raises(ValueError, match=f"{name}.*no_such_value") as caught:
        DPOConfig(output_dir=str(tmp_path), **{name: "no_such_value"})
    assert all(repr(value) in str(caught.value) for value in typing.get_args(CHOICES[name]))


@pytest.mark.parametrize(("name", "value"), VALUES)
def test_every_choice_trains(make_dpo_trainer, pairs, name, value):
    """D18. Every accepted value trains to a finite loss."""
    trainer = make_dpo_trainer(pairs, max_length=24, **NEEDED.get(value, {}), **{name: value})
    assert getattr(trainer.args, name) == ([value] if name in LISTS else value)
    assert math.isfinite(trainer.train().training_loss)


def test_several_losses(make_dpo_trainer, pairs):
    """D19. `loss_type` is a name or a list; the loss is the sum of theirs, weighted by `loss_weights`."""
    losses = {}
    for name, options in {
        "a": {"loss_type": "hinge"},
        "b": {"loss_type": ["ipo"]},
        "both": {"loss_type": ["hinge", "ipo"]},
        "weighted": {"loss_type": ["hinge", "ipo"], "loss_weights": [0.5, 2.0]},
    }.items():
        losses[name] = make_dpo_trainer(pairs[:3], **options).train().training_loss
    assert losses["both"] == pytest.approx(losses["a"] + losses["b"], rel=1e-5)
    assert losses["weighted"] == pytest.approx(0.5 * losses["a"] + 2 * losses["b"], rel=1e-5)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"loss_type": "exo_pair"}, ["exo_pair", "label_smoothing"]),
        ({"loss_type": ["sigmoid", "aot"], "use_weighting": True}, ["aot", "use_weighting"]),
        ({"loss_type": "bco_pair", "f_divergence_type": "forward_kl"}, ["bco_pair", "f_divergence_type"]),
        ({"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0]}, ["loss_type", "loss_weights"]),
        ({"loss_type": "robust", "label_smoothing": 0.5}, ["robust", "label_smoothing"]),
        ({"sync_ref_model": True, "precompute_ref_log_probs": True}, ["sync_ref_model", "precompute_ref_log_probs"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_exclude_each_other(tmp_path, options, named):
    """D20. Options that cannot be had together are a ValueError when the config is made, which names both."""
    with pytest.raises(ValueError) as caught:
        DPOConfig(output_dir=str(tmp_path), **options)
    assert all(name in str(caught.value) for name in named)
