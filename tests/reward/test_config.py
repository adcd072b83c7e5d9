"""Options of reward modelling: defaults, and what is refused before anything is loaded."""

import math

import pytest

from sternpost import RewardConfig


def test_defaults(tmp_path):
    """The defaults that differ from those of transformers."""
    args = RewardConfig(str(tmp_path))
    assert (args.learning_rate, args.logging_steps, args.max_length) == (1e-4, 10, 1024)
    assert args.disable_dropout is True
    assert args.center_rewards_coefficient is None
    assert args.gradient_checkpointing is False  # this is a CPU


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 0}, "`max_length=0` leaves no room"),
        ({"dataset_num_proc": 0}, "`dataset_num_proc=0` must be at least 1"),
        ({"pad_to_multiple_of": 0}, "`pad_to_multiple_of=0` must be"),
        ({"pad_to_multiple_of": "none"}, "`pad_to_multiple_of='none'` must be"),
        ({"center_rewards_coefficient": -0.1}, "`center_rewards_coefficient=-0.1` must not be negative"),
        ({"center_rewards_coefficient": math.nan}, "`center_rewards_coefficient=nan` must not be negative"),
        ({"use_liger_kernel": True}, "`use_liger_kernel=True` would replace"),
        ({"label_smoothing_factor": 0.1}, "`label_smoothing_factor=0.1` belongs to the losses of transformers"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_options_are_refused(tmp_path, options, message):
    """At once, naming the option and its value."""
    with pytest.raises(ValueError, match=message):
        RewardConfig(str(tmp_path), **options)
