"""Options: defaults by device, and every wrong value or combination is named at once."""

import pytest
import torch
from transformers import TrainingArguments

from sternpost import SFTConfig
from sternpost.models import device


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_type": "nlll"}, "`loss_type='nlll'` is not one of 'nll', 'dft'. Did you mean \"nll\"?"),
        ({"packing_strategy": "ffd"}, "`packing_strategy='ffd'` is not one of"),
        ({"truncation_mode": "middle"}, "`truncation_mode='middle'` is not one of"),
        ({"max_length": 1}, "`max_length=1` leaves nothing to predict"),
        ({"max_length": -5}, "`max_length=-5` leaves nothing to predict"),
        ({"dataset_num_proc": 0}, "`dataset_num_proc=0` must be at least 1"),
        ({"router_aux_loss_coef": -0.1}, "`router_aux_loss_coef=-0.1` must not be negative"),
        ({"pad_to_multiple_of": 0}, "`pad_to_multiple_of=0` must be"),
        ({"pad_to_multiple_of": "8x"}, "`pad_to_multiple_of='8x'` must be"),
        ({"packing": True, "max_length": None}, "`max_length` is None"),
        ({"packing": True, "padding_free": False}, "`padding_free=False` cannot hold"),
        ({"use_liger_kernel": True}, "`use_liger_kernel=True`"),
        ({"label_smoothing_factor": 0.1}, "`label_smoothing_factor=0.1` has no effect"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_wrong_options_are_named(tmp_path, options, message):
    """Each wrong option or combination raises before anything is loaded, and says what to do."""
    with pytest.raises(ValueError) as error:
        SFTConfig(output_dir=str(tmp_path), **options)
    assert message in str(error.value)


def test_unknown_option_is_refused(tmp_path):
    """An option that does not exist is no silent keyword."""
    with pytest.raises(TypeError, match="learning_rat"):
        SFTConfig(output_dir=str(tmp_path), learning_rat=1e-3)


def test_defaults_follow_the_device(tmp_path, monkeypatch):
    """bfloat16 and recomputation are defaults only where they pay, and always what was asked for."""
    monkeypatch.setattr("sternpost.models.device.has_fast_bf16", lambda use_cpu: True)
    monkeypatch.setattr("sternpost.models.device.on_accelerator", lambda use_cpu: True)
    assert SFTConfig(str(tmp_path), use_cpu=True).bf16 is True
    assert SFTConfig(str(tmp_path), use_cpu=True).gradient_checkpointing is True
    assert SFTConfig(str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False).bf16 is False
    assert SFTConfig(str(tmp_path), use_cpu=True, gradient_checkpointing=False).gradient_checkpointing is False
    monkeypatch.undo()
    assert SFTConfig(str(tmp_path), use_cpu=True).gradient_checkpointing is False


def test_fast_bf16_needs_matrix_units(monkeypatch):
    """On a CPU, instructions for bfloat16 are not enough: but for AMD's they were measured slower than float32."""
    intel, amd = {"avx512_bf16": True, "cpu_name": "Intel"}, {"avx512_bf16": True, "cpu_name": "AMD EPYC"}
    for units, fast in ((intel, False), (intel | {"amx_bf16": True}, True), (amd, True), ({"cpu_name": "AMD"}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda units=units: units)
        assert device.has_fast_bf16(use_cpu=True) is fast


def test_bf16_without_an_accelerator_needs_no_other_option(tmp_path, monkeypatch):
    """On a CPU that is fast at bfloat16, transformers would ask for `use_cpu` although there is nothing else."""
    monkeypatch.setattr("sternpost.models.device.has_fast_bf16", lambda use_cpu: True)
    args = SFTConfig(str(tmp_path))
    assert args.bf16 is True
    assert args.use_cpu is True
    assert SFTConfig(str(tmp_path), bf16=False).use_cpu is False


def test_dictionaries_may_be_json(tmp_path):
    """Dictionary options accept JSON text, as they come from a command line."""
    args = SFTConfig(
        str(tmp_path), model_init_kwargs='{"dtype": "float32"}', dataset_kwargs='{"skip_prepare_dataset": true}'
    )
    assert args.model_init_kwargs == {"dtype": "float32"}
    assert args.dataset_kwargs == {"skip_prepare_dataset": True}


def test_own_options_are_keyword_only():
    """The inherited options keep their positions, whatever we add."""
    with pytest.raises(TypeError):
        SFTConfig(*range(200))
    assert SFTConfig("somewhere").output_dir == TrainingArguments("somewhere").output_dir
