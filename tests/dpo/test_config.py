"""Options: every wrong value or combination is named at once, and what a list of losses may be."""

import pytest
from transformers import TrainingArguments

from sternpost import DPOConfig
from sternpost.dpo.contract import LossType


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_type": "sigmod"}, "is not one of 'sigmoid', 'hinge'"),
        ({"loss_type": "sigmod"}, 'Did you mean "sigmoid"?'),
        ({"loss_type": ["sigmoid", "aot_pair"]}, "`loss_type=['sigmoid', 'aot_pair']` is not one of"),
        ({"loss_type": []}, "`loss_type` is empty. Name at least one loss"),
        ({"loss_type": ["sft", "sft"]}, "names a loss twice. Name it once and raise its weight"),
        ({"loss_weights": [1, 2]}, "has 2 values for the 1 of `loss_type=['sigmoid']`. Give one weight per loss"),
        ({"truncation_mode": "middle"}, "`truncation_mode='middle'` is not one of"),
        ({"f_divergence_type": "kl"}, "`f_divergence_type='kl'` is not one of"),
        ({"max_length": 1}, "`max_length=1` leaves no room for an answer"),
        ({"dataset_num_proc": 0}, "`dataset_num_proc=0` must be at least 1"),
        ({"precompute_ref_batch_size": 0}, "`precompute_ref_batch_size=0` must be at least 1"),
        ({"ref_model_sync_steps": 0}, "`ref_model_sync_steps=0` must be at least 1"),
        ({"router_aux_loss_coef": -1.0}, "`router_aux_loss_coef=-1.0` must not be negative. 0 turns it off"),
        ({"pad_to_multiple_of": 0}, '`pad_to_multiple_of=0` must be "auto", None or a positive integer'),
        ({"beta": 0.0}, "`beta=0.0` must be positive"),
        ({"beta": float("inf")}, "`beta=inf` must be positive"),
        ({"beta": float("nan")}, "`beta=nan` must be positive"),
        ({"discopop_tau": 0.0}, "`discopop_tau=0.0` is a temperature"),
        ({"ld_alpha": 1.5}, "`ld_alpha=1.5` is a weight from 0 to 1"),
        ({"ref_model_mixup_alpha": 0.0}, "`ref_model_mixup_alpha=0.0` is a share: above 0, at most 1"),
        ({"ref_model_mixup_alpha": 1.1}, "`ref_model_mixup_alpha=1.1` is a share"),
        ({"label_smoothing": -0.1}, "`label_smoothing=-0.1` is the share of pairs labelled the wrong way round"),
        (
            {"label_smoothing": 0.6},
            "`label_smoothing=0.6` is the share of pairs labelled the wrong way round: 0 to 0.5",
        ),
        (
            {"label_smoothing": 0.1, "loss_type": "ipo"},
            "is read by aot, aot_unpaired, exo_pair, hinge, robust, sigmoid",
        ),
        ({"label_smoothing": 0.5, "loss_type": "robust"}, "makes `robust` divide by zero: it must be below 0.5"),
        ({"loss_type": "exo_pair"}, "`exo_pair` takes the logarithm of `label_smoothing`, which is 0. Set it"),
        ({"f_divergence_type": "forward_kl", "loss_type": ["sigmoid", "bco_pair"]}, "has no meaning for bco_pair. Use"),
        ({"use_weighting": True, "loss_type": ["sigmoid", "aot"]}, "weighs pairs, which aot takes apart. Drop one"),
        ({"sync_ref_model": True, "precompute_ref_log_probs": True}, "changes the reference while training, but"),
        ({"use_liger_kernel": True}, "`use_liger_kernel=True` would replace the model's loss"),
        ({"label_smoothing_factor": 0.1}, "belongs to the losses of transformers. Use `label_smoothing`"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_wrong_options_are_named(tmp_path, options, message):
    """Each wrong option or combination raises before anything is loaded, and says what to do."""
    with pytest.raises(ValueError) as error:
        DPOConfig(output_dir=str(tmp_path), **options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {"label_smoothing": 0.1},
        {"label_smoothing": 0.5, "loss_type": ["ipo", "hinge"]},
        {"label_smoothing": 0.49, "loss_type": "robust"},
        {"label_smoothing": 1e-3, "loss_type": "exo_pair"},
        {"ld_alpha": 0.0},
        {"ref_model_mixup_alpha": 1.0, "sync_ref_model": True},
        {"f_divergence_type": "js_divergence", "loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.0]},
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 1.0},
        {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.0},
        {"max_length": 2},
        {"max_length": None},
    ],
    ids=str,
)
def test_values_at_the_limits_are_accepted(tmp_path, options):
    """What the checks leave room for."""
    args = DPOConfig(output_dir=str(tmp_path), **options)
    assert all(getattr(args, name) == value for name, value in options.items() if name != "loss_type")


def test_one_loss_is_a_list_of_one(tmp_path):
    """`loss_type` may be a name or a list of names, and is a list afterwards; each object has its own."""
    assert DPOConfig(str(tmp_path)).loss_type == DPOConfig(str(tmp_path), loss_type="sigmoid").loss_type == ["sigmoid"]
    assert DPOConfig(str(tmp_path), loss_type=["hinge", "sft"]).loss_type == ["hinge", "sft"]
    assert DPOConfig(str(tmp_path)).loss_type is not DPOConfig(str(tmp_path)).loss_type


def test_every_loss_is_accepted(tmp_path):
    """Each name of the contract, alone."""
    for name in LossType.__args__:
        smoothing = 0.1 if name == "exo_pair" else 0.0
        assert DPOConfig(str(tmp_path), loss_type=name, label_smoothing=smoothing).loss_type == [name]


def test_unknown_option_is_refused(tmp_path):
    """An option that does not exist is no silent keyword."""
    with pytest.raises(TypeError, match="bata"):
        DPOConfig(output_dir=str(tmp_path), bata=0.1)


def test_defaults_follow_the_device(tmp_path, monkeypatch):
    """bfloat16 and recomputation are defaults only where they pay."""
    monkeypatch.setattr("sternpost.models.device.has_fast_bf16", lambda use_cpu: True)
    monkeypatch.setattr("sternpost.models.device.on_accelerator", lambda use_cpu: True)
    args = DPOConfig(str(tmp_path), use_cpu=True)
    assert (args.bf16, args.gradient_checkpointing) == (True, True)
    monkeypatch.undo()
    assert DPOConfig(str(tmp_path), use_cpu=True, bf16=False).gradient_checkpointing is False


def test_dictionaries_may_be_json(tmp_path):
    """Dictionary options accept JSON text, as they come from a command line."""
    args = DPOConfig(str(tmp_path), model_init_kwargs='{"dtype": "float32"}')
    assert args.model_init_kwargs == {"dtype": "float32"}


def test_own_options_are_keyword_only():
    """The inherited options keep their positions, whatever we add."""
    with pytest.raises(TypeError):
        DPOConfig(*range(200))
    assert DPOConfig("somewhere").output_dir == TrainingArguments("somewhere").output_dir
