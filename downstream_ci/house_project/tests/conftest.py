import os
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false", DO_NOT_TRACK="1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import pytest
from longshore import settings
from longshore.builder import SFTBuilder

RUNS = Path(__file__).parents[1] / "runs"


@pytest.fixture
def build(tmp_path):
    """The trainer of a YAML file with keys overridden."""

    def build(name, **overrides):
        return SFTBuilder(settings.read(RUNS / name, output_dir=str(tmp_path / "out"), **overrides)).build()

    return build


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The run of runs/sft.yaml, once for all tests that look at what it left behind."""
    out = tmp_path_factory.mktemp("finished")
    trainer = SFTBuilder(settings.read(RUNS / "sft.yaml", output_dir=str(out))).build()
    trainer.train()
    return trainer
