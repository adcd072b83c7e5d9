"""Options that are not the trainer's: which model to load, which rows to train on. The CLI reads them from here.

Nothing heavy is imported until a function below is called.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .choices import check_choices
from .sources import load_splits, take_split

if TYPE_CHECKING:
    from datasets import DatasetDict, IterableDatasetDict
    from peft import PeftConfig
    from transformers import BitsAndBytesConfig

DType = Literal["auto", "bfloat16", "float16", "float32"]
QuantType = Literal["fp4", "nf4"]

SPLIT_SEED = 0
"""Which rows `test_split_size` holds out must be the same in every process and after a resume."""


@dataclass(kw_only=True)
class ModelConfig:
    """Which model to load, in which precision, and which adapter to train on it.

    Raises:
        ValueError: an option has a value that it cannot have, or two options exclude each other.
    """

    # ---- Which model

    model_name_or_path: str | None = None
    """Model to train: a directory, an id on the hub, or `demo` for the tiny one inside the package."""
    model_revision: str = "main"
    """Branch, tag or commit of the model on the hub."""
    dtype: DType = "float32"
    """Precision of the loaded weights. `auto` takes the one that they were saved in."""
    attn_implementation: str | None = None
    """Attention implementation, such as `sdpa` or `flash_attention_2`. By default the model's choice."""

    # ---- Adapter (LoRA)

    use_peft: bool = False
    """Train a LoRA adapter and leave the model as it is."""
    lora_r: int = 16
    """Rank of the adapter."""
    lora_alpha: int = 32
    """Scale of the adapter: it is multiplied by `lora_alpha / lora_r`."""
    lora_dropout: float = 0.05
    """Dropout before the adapter."""
    lora_target_modules: list[str] | None = None
    """Modules that get an adapter: the ends of their names, or `all-linear`, or one regular expression for whole names.
    By default what peft knows to be good for the architecture."""
    lora_target_parameters: list[str] | None = None
    """Parameters that get an adapter, for weights that are no module of their own (experts, say)."""
    lora_modules_to_save: list[str] | None = None
    """Modules that are trained whole and saved with the adapter."""
    lora_task_type: str = "CAUSAL_LM"
    """Task type that is written into the adapter."""
    use_rslora: bool = False
    """Scale the adapter by `lora_alpha / sqrt(lora_r)` (https://huggingface.co/papers/2312.03732)."""
    use_dora: bool = False
    """Train magnitude and direction apart (https://huggingface.co/papers/2402.09353)."""

    # ---- Quantization

    load_in_8bit: bool = False
    """Load the model in 8 bits. Only with an adapter."""
    load_in_4bit: bool = False
    """Load the model in 4 bits. Only with an adapter."""
    bnb_4bit_quant_type: QuantType = "nf4"
    """Data type of the 4 bits."""
    use_bnb_nested_quant: bool = False
    """Quantize the quantization constants too."""
    bnb_4bit_quant_storage: str | None = None
    """Data type that the 4-bit weights are stored as. FSDP needs the one of the other weights."""

    def __post_init__(self) -> None:
        check_choices(self)
        if self.load_in_8bit and self.load_in_4bit:
            raise ValueError("`load_in_8bit=True` and `load_in_4bit=True` exclude each other: choose one.")
        match self.lora_target_modules:
            case [pattern] if not re.fullmatch(r"[\w.]+", pattern):  # peft takes a string for a pattern or a keyword
                self.lora_target_modules = pattern  # type: ignore[assignment]


@dataclass(kw_only=True)
class ScriptArguments:
    """Which data set to train on."""

    # ---- Which rows

    dataset_name: str | None = None
    """Rows to train on: a file (JSONL, JSON, Parquet, CSV, TSV, Arrow), a directory of them or of a saved data set, an
    id on the hub, or `demo:NAME` for one inside the package."""
    dataset_config: str | None = None
    """Configuration of a data set on the hub that has several."""
    dataset_train_split: str = "train"
    """Split to train on. Part of one is `train[:1000]` or `train[:10%]`."""
    dataset_test_split: str = "test"
    """Split to evaluate on, where `eval_strategy` asks for it."""
    dataset_streaming: bool = False
    """Read the rows while training instead of before."""
    ignore_bias_buffers: bool = False
    """Leave boolean buffers out of what distributed training synchronizes; some old models need it."""


@dataclass(kw_only=True)
class RewardArguments:
    """What judges the completions of methods that generate."""

    # ---- What judges completions

    reward_funcs: list[str] | None = None
    """Rewards by name: `accuracy_reward`, `reasoning_accuracy_reward`, `think_format_reward`,
    `get_soft_overlong_punishment`, or the dotted path of a function, `module.function`, also of a module in the working
    directory."""
    reward_model_name_or_path: str | None = None
    """A reward model besides: a directory or an id on the hub. It comes before `reward_funcs` in `reward_weights`."""


@dataclass(kw_only=True)
class DatasetConfig:
    """One data set of a mixture."""

    path: str
    """As `dataset_name`."""
    name: str | None = None
    """As `dataset_config`."""
    data_dir: str | None = None
    """Directory inside `path` that holds the files."""
    data_files: str | list[str] | dict[str, str] | None = None
    """Files inside `path`, or for each split."""
    split: str = "train"
    """Split to take, or part of one such as `train[:1000]`."""
    columns: list[str] | None = None
    """Columns to keep. By default all of them; the data sets of a mixture must agree on them."""
    fraction: float | None = None
    """Share of this data set in the mixture, relative to the others. The mixture is made as large as can be without
    repeating a row. Give it for every data set or for none."""


@dataclass(kw_only=True)
class DatasetMixtureConfig:
    """Several data sets, trained on as one.

    Raises:
        ValueError: fractions are not positive or not given for every data set, or exclude another option.
    """

    # ---- Which rows: a mixture, instead of `dataset_name`

    datasets: list[DatasetConfig] = field(default_factory=list)
    """The data sets, each with `path` and, if wanted, `name`, `data_dir`, `data_files`, `split`, `columns` and
    `fraction`."""
    streaming: bool = False
    """Read the rows while training instead of before."""
    test_split_size: float | None = None
    """Hold out this share (below 1) or number of rows as the split `test`. Works with `dataset_name` too."""

    def __post_init__(self) -> None:
        self.datasets = [DatasetConfig(**one) if isinstance(one, dict) else one for one in self.datasets]
        fractions = [one.fraction for one in self.datasets]
        given = [fraction for fraction in fractions if fraction is not None]
        if given:
            if len(given) < len(fractions):
                raise ValueError(
                    f"`datasets[{fractions.index(None)}].fraction` is missing: give a fraction for every data set of "
                    "the mixture, or for none."
                )
            if min(given) <= 0:
                raise ValueError(f"`fraction` must be positive, but the mixture has {fractions}.")
            if self.streaming:
                raise ValueError("`fraction` needs to know the number of rows, which `streaming=True` does not.")
        if self.test_split_size is not None:
            if self.test_split_size <= 0:
                raise ValueError(f"`test_split_size={self.test_split_size}` must be positive.")
            if self.streaming:
                raise ValueError(
                    "`test_split_size` needs to know the number of rows, which `streaming=True` does not. Name a split "
                    "of its own as `dataset_test_split`."
                )


def get_dataset(mixture_config: DatasetMixtureConfig) -> "DatasetDict | IterableDatasetDict":
    """The rows of a mixture as split `train`, and the rows that `test_split_size` holds out as split `test`.

    Raises:
        ValueError: no data set given; an unknown split or column; unreadable or empty data; columns that do not fit.
        FileNotFoundError: a local file or directory does not exist.
    """
    from datasets import DatasetDict, IterableDatasetDict

    if not mixture_config.datasets:
        raise ValueError("`datasets` is empty: name at least one, such as `datasets: [{path: rows.jsonl}]`.")
    parts = [
        load_part(one, f"datasets[{i}].path", mixture_config.streaming) for i, one in enumerate(mixture_config.datasets)
    ]
    parts = cut_to_fractions(parts, [one.fraction for one in mixture_config.datasets])
    rows = join(parts, [one.path for one in mixture_config.datasets])
    if mixture_config.streaming:
        return IterableDatasetDict({"train": rows})
    return hold_out(DatasetDict({"train": rows}), mixture_config.test_split_size)


def load_part(config: DatasetConfig, option: str, streaming: bool) -> Any:
    """The rows of one data set of a mixture."""
    splits = load_splits(config.path, option, config.name, config.data_dir, config.data_files, streaming)
    rows = take_split(splits, config.split, option.replace(".path", ".split"), config.path)
    if config.columns is None:
        return rows
    missing = [name for name in config.columns if rows.column_names and name not in rows.column_names]
    if missing:
        raise ValueError(
            f"`{option.replace('.path', '.columns')}` names {missing}, but {config.path!r} has the columns "
            f"{rows.column_names}."
        )
    return rows.select_columns(config.columns)


def cut_to_fractions(parts: list[Any], fractions: list[float | None]) -> list[Any]:
    """The first rows of each part, so many that the parts have the given proportions and one of them is whole."""
    given = [fraction for fraction in fractions if fraction is not None]
    if not given:
        return parts
    shares = [fraction / sum(given) for fraction in given]
    total = min(len(part) / share for part, share in zip(parts, shares, strict=True))
    counts = [round(share * total) for share in shares]
    return [part.select(range(min(count, len(part)))) for part, count in zip(parts, counts, strict=True)]


def join(parts: list[Any], paths: list[str]) -> Any:
    """The parts one after another."""
    from datasets import concatenate_datasets

    try:
        return concatenate_datasets(parts)
    except (ValueError, TypeError) as error:
        columns = "; ".join(f"{path!r} has {part.features}" for path, part in zip(paths, parts, strict=True))
        raise ValueError(
            f"`datasets` cannot be joined, because their columns differ: {columns}. Choose the common ones by "
            "`columns`, or convert the files."
        ) from error


def hold_out(splits: Any, size: float | None) -> Any:
    """The split `train`, a part of which becomes the split `test`."""
    if size is None:
        return splits
    size = size if size < 1 else int(size)
    if size >= len(splits["train"]):
        raise ValueError(f"`test_split_size={size}` leaves no row to train on: there are {len(splits['train'])}.")
    return splits["train"].train_test_split(test_size=size, seed=SPLIT_SEED)


def get_peft_config(model_args: ModelConfig) -> "PeftConfig | None":
    """The LoRA adapter to train, or None for the whole model.

    Raises:
        ImportError: `use_peft` is set and peft is not installed.
    """
    if not model_args.use_peft:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ImportError('`use_peft=True` needs peft: install it by `pip install "sternpost[peft]"`.') from error
    return LoraConfig(
        task_type=model_args.lora_task_type,
        r=model_args.lora_r,
        lora_alpha=model_args.lora_alpha,
        lora_dropout=model_args.lora_dropout,
        target_modules=model_args.lora_target_modules,
        target_parameters=model_args.lora_target_parameters,
        modules_to_save=model_args.lora_modules_to_save,
        use_rslora=model_args.use_rslora,
        use_dora=model_args.use_dora,
        bias="none",
    )


def get_quantization_config(model_args: ModelConfig) -> "BitsAndBytesConfig | None":
    """How the model is quantized when it is loaded, or None for not at all.

    Raises:
        ImportError: quantization is asked for and bitsandbytes is not installed.
    """
    if not (model_args.load_in_4bit or model_args.load_in_8bit):
        return None
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        option = "load_in_4bit" if model_args.load_in_4bit else "load_in_8bit"
        raise ImportError(f"`{option}=True` needs bitsandbytes: install it by `pip install bitsandbytes`.")
    if model_args.load_in_8bit:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_compute_dtype=None if model_args.dtype == "auto" else model_args.dtype,
        bnb_4bit_quant_type=model_args.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=model_args.use_bnb_nested_quant,
        bnb_4bit_quant_storage=model_args.bnb_4bit_quant_storage,
    )


__all__ = [
    "DatasetConfig",
    "DatasetMixtureConfig",
    "ModelConfig",
    "ScriptArguments",
    "get_dataset",
    "get_peft_config",
    "get_quantization_config",
]
