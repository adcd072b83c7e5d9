"""What every contract test gets: no network, one thread, a model, a way to make a trainer, and golden files.

Nothing here or in the tests comes from the source tree. `import sternpost` is the installed release, or what is first
on PYTHONPATH, so that the same promises can be asked of any version.
"""

import gc
import os

# Read when the libraries are imported, so they are set before any test module is.
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_DATASETS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    DO_NOT_TRACK="1",
    WANDB_MODE="disabled",
    TOKENIZERS_PARALLELISM="false",
)
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
WORDS = ("stern", "post", "stands", "still", "so", "that", "the", "rest", "of", "the", "ship", "can", "steer")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write contract_tests/golden/ anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """`golden(name, value)`: the value is what golden/<name>.json holds."""

    def compare(name: str, value: Any) -> None:
        path = GOLDEN / f"{name}.json"
        if request.config.getoption("--rewrite-golden"):
            path.write_text(json.dumps(value, indent=1) + "\n")
        assert value == json.loads(path.read_text()), f"{path.name} is the promise; see contract_tests/README.md"

    return compare


@pytest.fixture(scope="module", autouse=True)
def plain_cpu() -> Iterator[None]:
    """A CPU with no units for bfloat16, whatever this one has: comparisons are tight, so runs are in float32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cpu.get_capabilities", dict)
        gc.collect()
        gc.freeze()  # every run ends with a collection, which need not look at each object of torch
        yield


@pytest.fixture(scope="session")
def model_path() -> str:
    """Directory of a model and its tokenizer, whose template knows tools and marks what the assistant says."""
    from sternpost import demo

    return demo.path("model")


@pytest.fixture(scope="session")
def conversations() -> list[dict[str, Any]]:
    """Rows with one question and one answer of different lengths."""
    drawn = random.Random(0)

    def words(longest: int) -> str:
        return " ".join(drawn.choices(WORDS, k=drawn.randint(1, longest)))

    return [
        {"messages": [{"role": "user", "content": words(6)}, {"role": "assistant", "content": words(12)}]}
        for _ in range(12)
    ]


@pytest.fixture
def vision_model(model_path: str) -> Callable[[], tuple[Any, Any]]:
    """`vision_model()`: a LLaVA of a few thousand random parameters, and its processor; four patches make a picture."""

    def make() -> tuple[Any, Any]:
        from transformers import (
            AutoTokenizer,
            CLIPImageProcessor,
            CLIPVisionConfig,
            LlavaConfig,
            LlavaForConditionalGeneration,
            LlavaProcessor,
            Qwen3Config,
        )

        tokenizer = AutoTokenizer.from_pretrained(model_path)
        tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
        template = (
            "{% for message in messages %}{{ message.role }}: "
            "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
            "{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}{% endif %}\n{% endfor %}"
        )
        pixels = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
        processor = LlavaProcessor(
            pixels, tokenizer, patch_size=8, vision_feature_select_strategy="default", chat_template=template,
            num_additional_image_tokens=1,
        )  # fmt: skip
        narrow = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        text = Qwen3Config(**narrow, vocab_size=len(tokenizer), num_key_value_heads=1, head_dim=8)
        vision = CLIPVisionConfig(**narrow, image_size=16, patch_size=8)
        image = tokenizer.convert_tokens_to_ids("<image>")
        config = LlavaConfig(vision_config=vision, text_config=text, vision_feature_layer=-1, image_token_id=image)
        return LlavaForConditionalGeneration(config), processor

    return make


@pytest.fixture
def mixture_of_experts(model_path: str) -> Any:
    """A Qwen3-MoE of a few thousand random parameters."""
    from transformers import AutoTokenizer, Qwen3MoeConfig, Qwen3MoeForCausalLM

    return Qwen3MoeForCausalLM(
        Qwen3MoeConfig(
            vocab_size=len(AutoTokenizer.from_pretrained(model_path)), hidden_size=16, intermediate_size=16,
            moe_intermediate_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
            num_experts=4, num_experts_per_tok=2, decoder_sparse_step=1,
        )
    )  # fmt: skip


@pytest.fixture(scope="session")
def pairs() -> list[dict[str, Any]]:
    """Rows with a question, a better and a worse answer, all of different lengths."""
    drawn = random.Random(1)

    def words(longest: int, *last: str) -> str:
        return " ".join([*drawn.choices(WORDS, k=drawn.randint(1, longest)), *last])

    return [{"prompt": words(6), "chosen": words(9, "yes"), "rejected": words(9, "no")} for _ in range(12)]


def maker(trainer_class: Any, config: Any, model_path: str, directory: Path) -> Callable[..., Any]:
    """`make(rows, eval_rows, trainer_class=, model=, arguments of the trainer or options of its config...)`."""
    import inspect

    from datasets import Dataset

    named = set(inspect.signature(trainer_class).parameters)
    quiet = {
        "output_dir": str(directory), "use_cpu": True, "report_to": "none", "disable_tqdm": True,
        "save_strategy": "no", "logging_steps": 1, "max_steps": 1, "per_device_train_batch_size": 3,
        "dataloader_pin_memory": False,
    }  # fmt: skip

    def rows_of(rows: Any) -> Any:
        if isinstance(rows, dict):
            return {name: Dataset.from_list(some) for name, some in rows.items()}
        return Dataset.from_list(rows) if isinstance(rows, list) else rows

    def make(
        rows: Any, eval_rows: Any = None, *, trainer_class: Any = trainer_class, model: Any = None, **given: Any
    ) -> Any:
        options = {name: given.pop(name) for name in set(given) - named}
        return trainer_class(
            model or model_path,
            args=config(**quiet | options),
            train_dataset=rows_of(rows),
            eval_dataset=rows_of(eval_rows),
            **given,
        )

    return make


@pytest.fixture
def make_trainer(tmp_path: Path, model_path: str) -> Callable[..., Any]:
    """Makes an `SFTTrainer`; see `maker`."""
    from sternpost import SFTConfig, SFTTrainer

    return maker(SFTTrainer, SFTConfig, model_path, tmp_path / "run")


@pytest.fixture
def make_dpo_trainer(tmp_path: Path, model_path: str) -> Callable[..., Any]:
    """Makes a `DPOTrainer`; see `maker`."""
    from sternpost import DPOConfig, DPOTrainer

    return maker(DPOTrainer, DPOConfig, model_path, tmp_path / "run")


@pytest.fixture
def make_reward_trainer(tmp_path: Path, model_path: str) -> Callable[..., Any]:
    """Makes a `RewardTrainer`; see `maker`."""
    from sternpost import RewardConfig, RewardTrainer

    return maker(RewardTrainer, RewardConfig, model_path, tmp_path / "run")


@pytest.fixture(scope="session")
def prompts() -> list[dict[str, Any]]:
    """Rows with a question and what else a reward may want to know of it."""
    drawn = random.Random(2)
    return [{"prompt": " ".join(drawn.choices(WORDS, k=2 + at % 5)), "target": at} for at in range(12)]


def spread(completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    """A reward that few completions of a prompt have in common."""
    return [sum(ids) % 97 / 97 for ids in completion_ids]


def online_maker(trainer_class: Any, config: Any, model_path: str, directory: Path) -> Callable[..., Any]:
    """`maker` for methods that generate: four short and varied completions at a time, two of each prompt."""
    make = maker(trainer_class, config, model_path, directory)
    small = {
        "per_device_train_batch_size": 4, "per_device_eval_batch_size": 4, "num_generations": 2,
        "max_completion_length": 6, "temperature": 3.0,
    }  # fmt: skip

    def online(rows: Any, eval_rows: Any = None, *, reward_funcs: Any = spread, **given: Any) -> Any:
        return make(rows, eval_rows, reward_funcs=reward_funcs, **small | given)

    return online


@pytest.fixture
def make_grpo_trainer(tmp_path: Path, model_path: str) -> Callable[..., Any]:
    """Makes a `GRPOTrainer`; see `online_maker`."""
    from sternpost import GRPOConfig, GRPOTrainer

    return online_maker(GRPOTrainer, GRPOConfig, model_path, tmp_path / "run")


@pytest.fixture
def make_rloo_trainer(tmp_path: Path, model_path: str) -> Callable[..., Any]:
    """Makes an `RLOOTrainer`; see `online_maker`."""
    from sternpost import RLOOConfig, RLOOTrainer

    return online_maker(RLOOTrainer, RLOOConfig, model_path, tmp_path / "run")


@pytest.fixture
def run_command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """`run_command("sft", "--help")`: the installed console script, in an empty directory."""
    script = Path(sys.executable).with_name("sternpost")
    assert script.exists(), "the console script `sternpost` is not installed beside this Python: pip install it first"

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [script, *arguments], cwd=tmp_path, env=os.environ | variables, capture_output=True, text=True, timeout=300
        )

    return run


@pytest.fixture
def assert_light() -> Callable[[str], None]:
    """`assert_light(stderr)`, for a command that ran with PYTHONPROFILEIMPORTTIME=1: it imported no heavy library."""

    def check(stderr: str) -> None:
        imported = {line.split("|")[-1].strip() for line in stderr.splitlines() if line.startswith("import time:")}
        assert "sternpost" in imported
        assert {"torch", "transformers", "datasets", "accelerate", "peft", "numpy"} & imported == set()

    return check
