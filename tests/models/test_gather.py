"""A policy that is sharded over processes is sampled as if it were whole."""

import json
from pathlib import Path

import pytest
import torch
from torch.distributed.fsdp import FullyShardedDataParallel

from sternpost.models.gather import whole_weights

from ..processes import launch

SCRIPT = Path(__file__).with_name("gather_run.py")


def test_processes_sample_for_themselves(tmp_path):
    """Two processes that draw different numbers of tokens draw what a whole model draws; the weights are sharded as
    before behind it, and training goes on. Also where no process holds all weights at a time."""
    launch(SCRIPT, 2, str(tmp_path / "out"))
    lengths = []
    for rank in (0, 1):
        result = json.loads((tmp_path / f"out.{rank}").read_text())
        assert result["found"] == result["layer by layer"] == result["expected"]
        assert result["groups"] == rank  # a process may have nothing to draw
        lengths += [len(ids) for group in result["found"] for ids in group]
        for whole, sharded in result["losses"]:
            assert sharded == pytest.approx(whole, rel=1e-5)
        before, after = result["settings"]
        assert before == after == [True, False]
        assert result["sharded"]
    assert set(lengths) == {3, 17}


def test_whole_models_are_left_alone():
    """Nothing happens to a model that is not sharded."""
    model = torch.nn.Linear(2, 2)
    before = model.weight
    with whole_weights(model):
        assert model.weight is before


def test_the_first_fsdp_is_refused(tmp_path):
    """It would make every process wait for all others at each token."""
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1
    )
    try:
        model = FullyShardedDataParallel(torch.nn.Linear(2, 2), device_id=torch.device("cpu"))
        with pytest.raises(ValueError, match="fsdp_version: 2"), whole_weights(model):
            pass
    finally:
        torch.distributed.destroy_process_group()
