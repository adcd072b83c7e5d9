"""Scripts that run in one process or in several, which talk by gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

FSDP2 = {
    "fsdp": "full_shard",
    "fsdp_config": {
        "fsdp_version": 2, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "transformer_layer_cls_to_wrap": ["Qwen3DecoderLayer"], "reshard_after_forward": True,
    },
}  # fmt: skip
"""Weights spread over the processes."""


def launch(script: Path, processes: int, *arguments: str) -> None:
    """Run a script; it must succeed in every process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    several = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(port)]
    command = [sys.executable, *(several if processes > 1 else []), str(script), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr[-4000:]
