"""Sending weights with vLLM's own NCCL engine (vLLM 0.31 or newer, in the trainer's environment too)."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from vllm.distributed.weight_transfer.base import ParamMeta, WeightSource
from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo, NCCLTrainerWeightTransferEngine

from .vllm_http import Connection
from .vllm_transfer import begin


class Weights(WeightSource):
    """The weights that are sent next."""

    def __init__(self) -> None:
        self.named: dict[str, Tensor] = {}

    def metadata(self) -> list[ParamMeta]:
        return [ParamMeta(name, weight.dtype, tuple(weight.shape)) for name, weight in self.named.items()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        device = torch.accelerator.current_accelerator()
        return ((name, weight.to(device)) for name, weight in self.named.items())


class Sender:
    """The trainer's end of a group with the server's workers. Also tells the server what vLLM's engine says."""

    def __init__(self, connection: Connection, address: str, port: int) -> None:
        self.connection, self.source = connection, Weights()
        world = 1 + connection.get("/get_world_size")["world_size"]
        meeting = NCCLTrainerInitInfo(master_address=address, master_port=port, world_size=world, rank=0)
        self.engine = NCCLTrainerWeightTransferEngine.trainer_init(meeting, client=self, source=self.source)

    def send(self, weights: dict[str, Tensor]) -> None:
        self.source.named = weights
        self.engine.send_weights()

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        self.connection.post("/init_weight_transfer_engine", {"init_info": init_info})

    def start_weight_update(self) -> None:
        begin(self.connection)

    def update_weights(self, update_info: dict[str, Any]) -> None:
        self.connection.post("/update_weights", {"update_info": update_info})

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        self.connection.post("/finish_weight_update", {})
