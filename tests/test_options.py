"""Options outside the trainer: what they refuse, and the rows, adapters and quantization that they stand for."""

import math
from pathlib import Path

import pytest
from datasets import Dataset, IterableDataset

from sternpost.options import (
    DatasetConfig,
    DatasetMixtureConfig,
    ModelConfig,
    get_dataset,
    get_peft_config,
    get_quantization_config,
)


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, str]:
    """Two files: ten rows and four rows, of one column each."""
    paths = {"many": tmp_path / "many.jsonl", "few": tmp_path / "few.jsonl", "other": tmp_path / "other.jsonl"}
    paths["many"].write_text("".join(f'{{"text": "many {i}"}}\n' for i in range(10)))
    paths["few"].write_text("".join(f'{{"text": "few {i}"}}\n' for i in range(4)))
    paths["other"].write_text('{"text": 1, "id": 2}\n')
    return {name: str(path) for name, path in paths.items()}


def mixture(*datasets: dict, **options) -> DatasetMixtureConfig:
    return DatasetMixtureConfig(datasets=list(datasets), **options)


def test_mixture_is_the_data_sets_one_after_another(parts):
    """Without fractions every row is there, in the order of the list; mappings are as good as objects."""
    rows = get_dataset(DatasetMixtureConfig(datasets=[{"path": parts["many"]}, DatasetConfig(path=parts["few"])]))
    assert list(rows) == ["train"]
    assert rows["train"]["text"] == [f"many {i}" for i in range(10)] + [f"few {i}" for i in range(4)]


def test_fractions_are_shares_of_the_mixture(parts):
    """The mixture has the proportions asked for and is as large as they allow: all four rows of one, four of ten."""
    rows = get_dataset(mixture({"path": parts["many"], "fraction": 2}, {"path": parts["few"], "fraction": 2}))
    assert rows["train"]["text"] == [f"many {i}" for i in range(4)] + [f"few {i}" for i in range(4)]


def test_part_of_a_split_and_of_the_columns(parts):
    """`split` takes slices, `columns` leaves out what the others do not have."""
    one = {"path": parts["many"], "split": "train[2:4]+train[90%:]"}
    rows = get_dataset(mixture(one))
    assert rows["train"]["text"] == ["many 2", "many 3", "many 9"]
    assert get_dataset(mixture({"path": parts["other"], "columns": ["id"]}))["train"].column_names == ["id"]


@pytest.mark.parametrize(("size", "expected"), [(0.2, 2), (3, 3)])
def test_test_split_is_held_out_and_stays_the_same(parts, size, expected):
    """Rows held out are not trained on, and the choice does not change from process to process."""
    first, second = (get_dataset(mixture({"path": parts["many"]}, test_split_size=size)) for _ in range(2))
    assert len(first["test"]) == expected
    assert sorted([*first["train"]["text"], *first["test"]["text"]]) == sorted(f"many {i}" for i in range(10))
    assert first["test"].to_list() == second["test"].to_list()


def test_streaming_mixture_reads_rows_lazily(parts):
    """A streamed mixture has the same rows."""
    rows = get_dataset(mixture({"path": parts["few"]}, {"path": parts["few"]}, streaming=True))["train"]
    assert isinstance(rows, IterableDataset)
    assert [row["text"] for row in rows] == [f"few {i}" for i in range(4)] * 2


def test_saved_data_set_is_found_again(tmp_path):
    """A directory written by `save_to_disk` is a source like any other."""
    Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(tmp_path / "saved")
    assert get_dataset(mixture({"path": str(tmp_path / "saved")}))["train"]["text"] == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"datasets": []}, "`datasets` is empty"),
        ({"datasets": [{"path": "x", "fraction": 1}, {"path": "y"}]}, r"`datasets\[1\].fraction` is missing"),
        ({"datasets": [{"path": "x", "fraction": 0}]}, "`fraction` must be positive"),
        ({"datasets": [{"path": "x", "fraction": 1}], "streaming": True}, "`fraction` needs to know"),
        ({"test_split_size": -1}, "`test_split_size=-1` must be positive"),
        ({"test_split_size": 0.5, "streaming": True}, "`test_split_size` needs to know"),
    ],
)
def test_contradictions_of_a_mixture_are_refused(options, message):
    """A mixture that cannot be made says which option is in the way."""
    with pytest.raises(ValueError, match=message):
        get_dataset(DatasetMixtureConfig(**options))


def test_columns_that_differ_are_named(parts):
    """Data sets that do not fit together are an error that shows the columns of each."""
    with pytest.raises(ValueError, match=r"many.jsonl' has .*other.jsonl' has"):
        get_dataset(mixture({"path": parts["many"]}, {"path": parts["other"]}))
    with pytest.raises(ValueError, match=r"`datasets\[0\].columns` names \['txt'\].*\['text'\]"):
        get_dataset(mixture({"path": parts["many"], "columns": ["txt"]}))


def test_holding_out_every_row_is_refused(parts):
    """At least one row is left to train on."""
    with pytest.raises(ValueError, match="leaves no row to train on: there are 4"):
        get_dataset(mixture({"path": parts["few"]}, test_split_size=4))


# ---- The model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "bf16"}, "`dtype='bf16'` is not one of"),
        ({"load_in_4bit": True, "load_in_8bit": True}, "exclude each other"),
        ({"bnb_4bit_quant_type": "nf5"}, "`bnb_4bit_quant_type='nf5'`"),
    ],
)
def test_wrong_model_options_are_refused(options, message):
    """Choices and combinations are checked when the object is made."""
    with pytest.raises(ValueError, match=message):
        ModelConfig(**options)


def test_adapter_is_made_only_if_asked_for():
    """The options of LoRA arrive in the adapter's configuration."""
    assert get_peft_config(ModelConfig()) is None
    config = get_peft_config(
        ModelConfig(use_peft=True, lora_r=4, lora_alpha=6, lora_target_modules=["q_proj", "v_proj"])
    )
    assert (config.r, config.lora_alpha, config.target_modules) == (4, 6, {"q_proj", "v_proj"})
    assert config.lora_dropout == 0.05
    assert (
        get_peft_config(ModelConfig(use_peft=True, lora_target_modules=["all-linear"])).target_modules == "all-linear"
    )


def test_adapter_options_reach_the_model():
    """What `use_rslora` promises happens: the adapter is scaled by alpha over the root of the rank."""
    from peft import get_peft_model
    from peft.tuners.lora import Linear as LoraLayer

    from . import tiny

    options = ModelConfig(
        use_peft=True, lora_r=4, lora_alpha=6, use_rslora=True, lora_target_modules=["q_proj", "v_proj"]
    )
    model = get_peft_model(tiny.model(), get_peft_config(options))
    adapted = [module for module in model.modules() if isinstance(module, LoraLayer)]
    assert len(adapted) == 4
    assert all(math.isclose(module.scaling["default"], 6 / math.sqrt(4)) for module in adapted)


def test_quantization_without_its_library_names_it(monkeypatch):
    """Asking for 4 bits where bitsandbytes is missing says what to install; not asking gives None."""
    assert get_quantization_config(ModelConfig()) is None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="`load_in_4bit=True` needs bitsandbytes: install it"):
        get_quantization_config(ModelConfig(load_in_4bit=True))
