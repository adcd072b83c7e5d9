"""A trainer that is killed loses nothing: it goes on from its last checkpoint as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fault_run.py")


def run(path: Path, where: str = "nowhere", step: int = 0) -> int:
    command = [sys.executable, str(SCRIPT), str(path), where, str(step)]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert result.returncode in (0, -9), result.stderr[-3000:]
    return result.returncode


def test_kill_9(tmp_path):
    """In the roll-out, in the update with half of its micro-batches done, in the middle of a generation that is learned
    from twice, and while a checkpoint is written: the same losses and weights in the end."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert run(straight) == 0
    for where, step in (("loss", 1), ("reward", 2), ("loss", 3), ("saving", 4)):
        assert run(killed, where, step) == -9
        assert not (killed / "result.json").exists()
    assert run(killed) == 0
    expected, found = (json.loads((path / "result.json").read_text()) for path in (straight, killed))
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5, abs=1e-7)
    assert found["weights"] == pytest.approx(expected["weights"], rel=1e-5, abs=1e-7)
