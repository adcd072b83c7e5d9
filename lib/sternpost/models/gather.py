"""Weights that are sharded over processes, whole for a while.

Forward passes of a sharded model gather weights from all processes, so that all must make the same number of them. Who
draws completions makes as many as there are tokens in the longest one. With whole weights no process waits for another.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakSet

from torch import nn
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel

WHOLE: WeakSet[nn.Module] = WeakSet()
"""Models whose weights are gathered now."""


@contextmanager
def whole_weights(model: nn.Module) -> Iterator[None]:
    """Gather the weights of a model, which may be wrapped, and shard them again at the end; every process must do so.

    FSDP2 and DeepSpeed ZeRO-3; other models have whole weights anyway. They must not be changed meanwhile. Within
    another one for the same model it does nothing, so that processes need not do that equally often.

    Raises:
        ValueError: the weights are sharded by the first version of FSDP.
    """
    if model in WHOLE:
        yield
        return
    with ExitStack() as stack:
        if any(hasattr(weight, "ds_id") for weight in model.parameters()):
            from deepspeed.runtime.zero import unwrap_model_for_generation

            stack.enter_context(unwrap_model_for_generation(model))
        elif any(isinstance(module, FullyShardedDataParallel) for module in model.modules()):
            raise ValueError(
                "FSDP's first version cannot keep whole weights behind a forward pass, so the policy cannot be sampled "
                "in this process. Set `fsdp_version: 2`."
            )
        else:
            stack.enter_context(unsharded([module for module in model.modules() if isinstance(module, FSDPModule)]))
        WHOLE.add(model)
        stack.callback(WHOLE.discard, model)
        yield


@contextmanager
def unsharded(modules: list[Any]) -> Iterator[None]:
    """Let modules of FSDP2 keep whole weights, also behind a forward pass."""
    groups = [group for module in modules for group in parameter_groups(module)]
    before = [group.post_forward_mesh_info for group in groups]  # what `set_reshard_after_forward` sets
    for module in modules:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for group, value in zip(groups, before, strict=True):
            group.post_forward_mesh_info = value
        for module in modules:
            module.reshard()


def parameter_groups(module: Any) -> list[Any]:
    """What FSDP2 gathers together with a module; several since torch 2.13."""
    state = module._get_fsdp_state()
    groups = state._fsdp_param_groups if hasattr(state, "_fsdp_param_groups") else [state._fsdp_param_group]
    return [group for group in groups if group is not None]
