"""Options of GRPO that exclude each other, do nothing, or do less than they look like."""

import re
import warnings

import pytest

from sternpost import GRPOConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"entropy_target": 3.0}, "`entropy_target=3.0` is read only where `entropy_coef` changes while training. Set"),
        ({"entropy_coef_min": 0.1, "entropy_coef": 0.2}, "`entropy_coef_min=0.1` is read only"),
        ({"entropy_coef_max": 0.5}, "`entropy_coef_max=0.5` is read only"),
        ({"entropy_coef_delta": 0.1}, "`entropy_coef_delta=0.1` is read only"),
        ({"loss_type": "vespo", "importance_sampling_level": "sequence"},
         "`importance_sampling_level='sequence'` is read only by other losses than `vespo`"),
        ({"off_policy_mask_threshold": float("nan")}, "`off_policy_mask_threshold=nan` must be a number of nats"),
        ({"delta": float("nan")}, "`delta=nan` must be above"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(tmp_path, options, message):
    """Nothing reads them, or they are no number."""
    with pytest.raises(ValueError, match=re.escape(message)):
        GRPOConfig(output_dir=str(tmp_path), **options)


@pytest.mark.parametrize("options", [{}, {"epsilon_high": 0.3}])
def test_cispo_with_ratios_cut_below_one(tmp_path, options):
    """The warning names the option and the paper's value, and points to where the config is made."""
    with pytest.warns(UserWarning, match=r"`epsilon_high=0\.\d`.*5\.0") as caught:
        GRPOConfig(output_dir=str(tmp_path), loss_type="cispo", **options)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("options", [{"loss_type": "cispo", "epsilon_high": 5.0}, {"loss_type": "dapo"}])
def test_other_losses_are_not_warned_of(tmp_path, options):
    """Nor is a `cispo` that leaves on-policy tokens alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "`loss_type='cispo'`")
        made = GRPOConfig(output_dir=str(tmp_path), **options)
    assert made.loss_type == options["loss_type"]
