"""Which backend draws completions, as the options say."""

from typing import Any, Protocol

import torch
from accelerate import Accelerator

from ..models.policy import base_of
from .backend import Backend
from .engine import InProcessEngine
from .vllm_weights import check_sendable

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""What a policy is computed in, by accelerate's names; without one, in what its weights are."""


class GenerationOptions(Protocol):
    """The options that decide."""

    generation_slots: int
    ds3_gather_for_generation: bool
    use_vllm: bool
    vllm_mode: Any
    vllm_model_impl: Any
    vllm_enable_sleep_mode: bool
    vllm_structured_outputs_regex: str | None
    vllm_server_base_url: str | None
    vllm_server_host: str
    vllm_server_port: int
    vllm_server_timeout: float
    vllm_group_port: int
    vllm_gpu_memory_utilization: float
    vllm_max_model_length: int | None
    vllm_tensor_parallel_size: int


def choose_backend(options: GenerationOptions, policy: Any, processing_class: Any, accelerator: Accelerator) -> Backend:
    """The engine in this process, or vLLM: a server, or an engine beside the policy.

    Raises:
        ImportError: vLLM is not installed where it is needed.
        ValueError: the policy cannot be run like this, or the server was started without what is needed.
        TimeoutError: no server answers.
    """
    base = base_of(policy)
    dtype = DTYPES.get(accelerator.mixed_precision, base.dtype)
    if not options.use_vllm:
        cast = None if dtype == base.dtype else dtype
        return InProcessEngine(base, options.generation_slots, cast, options.ds3_gather_for_generation)
    check_sendable(policy)
    if options.vllm_mode == "server":
        from .vllm_server import VLLMServer

        return VLLMServer(
            options.vllm_server_base_url or f"http://{options.vllm_server_host}:{options.vllm_server_port}",
            options.vllm_server_timeout,
            regex=options.vllm_structured_outputs_regex,
            group_port=options.vllm_group_port,
        )
    from .vllm_colocate import VLLMColocate

    return VLLMColocate(
        base,
        processing_class,
        slots=options.generation_slots,
        dtype=str(dtype).removeprefix("torch."),
        memory=options.vllm_gpu_memory_utilization,
        max_length=options.vllm_max_model_length,
        tensor_parallel_size=options.vllm_tensor_parallel_size,
        implementation=options.vllm_model_impl,
        sleep=options.vllm_enable_sleep_mode,
        regex=options.vllm_structured_outputs_regex,
    )
