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
STATEFUL = {"optim": "adamw_torch", "adam_epsilon": 0.1}
"""An optimizer that torch can resume when it is spread: one without a state it cannot."""


def launch(script: Path, processes: int, *arguments: str) -> None:
    """Run a script; it must succeed in every process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    several = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(port)]
    command = [sys.executable, *(several if processes > 1 else []), str(script), *arguments]
    result = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=900
    )
    assert result.returncode == 0, result.stderr[-4000:]


def leave() -> None:
    """Last line of a script, instead of an end: a thread of gloo that still wants the interpreter hangs the process
    where the group is taken apart, and aborts it where the interpreter is, now and then."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.barrier()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def shard_on_cpus() -> None:
    """Let accelerate shard weights in processes that talk by gloo, which it does on accelerators only: without it FSDP
    is silently left out, and a test of it tests nothing."""
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    begin = PartialState.__init__

    def init(self: PartialState, *args: object, **kwargs: object) -> None:
        begin(self, *args, **kwargs)
        if self._shared_state.get("distributed_type") == DistributedType.MULTI_CPU:
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU

    PartialState.__init__ = init  # type: ignore[method-assign]
