"""Inside vLLM: taking over weights that a trainer on this host has put into files, or hands over in the same process.

One update is `start`, `receive` for each part, `finish`; vLLM calls them between two steps of generation.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from safetensors import safe_open
from torch import Tensor, nn
from vllm.distributed.weight_transfer.base import WeightTransferEngine
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload


@dataclass
class Nothing:
    """What there is to agree upon before the first update."""


@dataclass
class Delivery:
    """Weights of one call, named as in a checkpoint."""

    paths: list[str] = field(default_factory=list)
    """Safetensors files that this process can read."""
    weights: Iterable[tuple[str, Tensor]] = ()
    """Or the weights themselves, where the trainer is this process."""


class WeightReceiver(WeightTransferEngine[Nothing, Delivery]):
    """Reads weights from memory or files; needs no accelerator."""

    init_info_cls = Nothing
    update_info_cls = Delivery

    def init_transfer_engine(self, init_info: Nothing) -> None:
        """There is nothing to connect."""

    def start_weight_update(self) -> None:
        initialize_layerwise_reload(self.model)

    def update_weights(self, update_info: dict) -> None:
        self.receive_weights(self.parse_update_info(update_info))  # the base waits for an accelerator afterwards

    def receive_weights(self, update_info: Delivery) -> None:
        self.model.load_weights(delivered(update_info))

    def finish_weight_update(self) -> None:
        finalize_layerwise_reload(self.model, self.model_config)
        if self.device.type == "cpu":
            pack_again(self.model)

    def shutdown(self) -> None:
        """There is nothing to close."""


def delivered(delivery: Delivery) -> Iterator[tuple[str, Tensor]]:
    """The weights, one by one."""
    yield from delivery.weights
    for path in delivery.paths:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118, it is no dictionary
                yield name, file.get_tensor(name)


def pack_again(model: nn.Module) -> None:
    """Pack the weights of linear layers that kept them beside the packed ones.

    On a CPU, vLLM computes with a packed copy. Reloading packs the layers that the checkpoint names, but not a head
    that is tied to the embedding: it would go on with the old weights, and nothing would say so (seen in vLLM 0.32).
    """
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    for module in model.modules():
        weight = getattr(module, "weight", None)
        if hasattr(module, "cpu_linear") and weight is not None and weight.numel():
            dispatch_cpu_unquantized_gemm(module, remove_weight=False)
