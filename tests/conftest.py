"""What every test gets: no network, one thread per worker, the same seed, and checked tensor shapes.

The shapes that annotations of the pure modules write down (`Float[Tensor, "B T"]`) are checked at run time here only.
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
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import random
import sys
from collections.abc import Iterator

import hypothesis
import jaxtyping
import pytest

# An import hook: it has to be there before the first test module imports these.
jaxtyping.install_import_hook(
    ["sternpost.models", "sternpost.sft.loss", "sternpost.dpo.loss", "sternpost.reward.loss"], "beartype.beartype"
)

# The same examples in every run, so that red stays red until fixed. HYPOTHESIS_PROFILE=explore draws others.
hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Seed what is loaded; a test that needs no torch is not made to import it."""
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="module", autouse=True)
def plain_cpu(request: pytest.FixtureRequest) -> Iterator[None]:
    """A CPU with no units for bfloat16, whatever this one has: comparisons are tight, so runs are in float32.

    The guard's tests need no torch, and are not made to import it.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "guard" not in request.path.parts:
            patch.setattr("torch.cpu.get_capabilities", dict)
        yield


@pytest.fixture(scope="module", autouse=True)
def leave_loaded_modules_alone(plain_cpu: None) -> None:
    """Every training run ends with a collection of garbage, which looks at each object of torch and transformers."""
    gc.collect()
    gc.freeze()
