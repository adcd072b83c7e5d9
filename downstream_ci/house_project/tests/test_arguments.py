import dataclasses

import pytest
from conftest import RUNS
from longshore import settings
from longshore.arguments import LongshoreConfig, LongshoreFields
from longshore.builder import SFTBuilder

from sternpost import SFTConfig


def read(name, **overrides):
    return SFTBuilder(settings.read(RUNS / name, output_dir="unused", **overrides))


def test_yaml_keys_become_options():
    args = read("sft.yaml").training_args()
    assert (args.max_length, args.per_device_train_batch_size, args.max_steps) == (128, 4, 4)
    assert (args.loss_type, args.truncation_mode, args.completion_only_loss) == ("nll", "keep_end", True)
    assert (args.gradient_checkpointing, args.pad_to_multiple_of) == (True, 8)


def test_packing_keys_become_options():
    args = read("packed.yaml").training_args()
    assert (args.packing, args.packing_strategy, args.eval_packing) == (True, "bfd", False)
    assert args.assistant_only_loss


def test_our_fields_stand_beside_theirs():
    ours = {field.name for field in dataclasses.fields(LongshoreFields)}
    theirs = {field.name for field in dataclasses.fields(SFTConfig)}
    assert {field.name for field in dataclasses.fields(LongshoreConfig)} == ours | theirs
    assert not ours & theirs


def test_our_default_wins():
    assert LongshoreConfig(output_dir="unused").logging_steps == 1
    assert LongshoreConfig("unused", max_length=64).max_length == 64


def test_our_check_runs_after_theirs():
    with pytest.raises(ValueError, match="weight_long_rows"):
        LongshoreConfig(output_dir="unused", weight_long_rows=-1)
    with pytest.raises(ValueError, match="loss_type"):
        LongshoreConfig(output_dir="unused", loss_type="none such")


def test_every_key_of_every_option_is_taken():
    """What the recipes in our documentation use."""
    SFTConfig(
        output_dir="unused", use_cpu=True, model_init_kwargs={"dtype": "float32"}, trust_remote_code=False,
        chat_template_path=None, dataset_text_field="text", dataset_kwargs={"skip_prepare_dataset": True},
        dataset_num_proc=1, eos_token="<|im_end|>", max_length=2048, truncation_mode="keep_start", shuffle_dataset=True,
        packing=True, packing_strategy="wrapped", padding_free=False, pad_to_multiple_of=64, eval_packing=True,
        completion_only_loss=None, assistant_only_loss=False, loss_type="dft", activation_offloading=True,
    )  # fmt: skip


def test_what_we_leave_out_is_as_we_documented_it():
    args = SFTConfig(output_dir="unused", use_cpu=True)
    assert (args.learning_rate, args.logging_steps, args.max_length) == (2e-5, 10, 1024)
    assert (args.loss_type, args.packing, args.packing_strategy) == ("nll", False, "bfd")
    assert (args.truncation_mode, args.pad_to_multiple_of) == ("keep_start", "auto")


def test_unknown_keys_are_ours_to_report():
    with pytest.raises(ValueError, match="max_seq_length"):
        read("sft.yaml", sft={"max_seq_length": 5}).training_args()
