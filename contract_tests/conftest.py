"""What every contract test gets: no network, one thread, a model, a way to make a trainer, and golden files.

Nothing here or in the tests comes from the source tree. `import sternpost` is the installed release, or what is first
on PYTHONPATH, so that the same promises can be asked of any version.
"""

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
def make_trainer(tmp_path: Path, model_path: str) -> Callable[..., Any]:
    """`make_trainer(rows, eval_rows, trainer_class=, arguments of the trainer or options of SFTConfig...)`."""
    import inspect

    from datasets import Dataset

    from sternpost import SFTConfig, SFTTrainer

    named = set(inspect.signature(SFTTrainer).parameters)
    quiet = {
        "output_dir": str(tmp_path / "run"), "use_cpu": True, "report_to": "none", "disable_tqdm": True,
        "save_strategy": "no", "logging_steps": 1, "max_steps": 1, "per_device_train_batch_size": 3,
        "dataloader_pin_memory": False,
    }  # fmt: skip

    def rows_of(rows: Any) -> Any:
        if isinstance(rows, dict):
            return {name: Dataset.from_list(some) for name, some in rows.items()}
        return Dataset.from_list(rows) if isinstance(rows, list) else rows

    def make(
        rows: Any, eval_rows: Any = None, *, trainer_class: Any = SFTTrainer, model: Any = None, **given: Any
    ) -> Any:
        options = {name: given.pop(name) for name in set(given) - named}
        return trainer_class(
            model or model_path,
            SFTConfig(**quiet | options),
            train_dataset=rows_of(rows),
            eval_dataset=rows_of(eval_rows),
            **given,
        )

    return make


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
