"""What the device is good at, and the defaults that follow it."""

from typing import Any

import torch

from ..compat import resolve_activation_checkpointing


def on_accelerator(use_cpu: bool = False) -> bool:
    """Whether training runs on something other than the CPU."""
    return not use_cpu and torch.accelerator.is_available()


def has_fast_bf16(use_cpu: bool = False) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32.

    True on accelerators that support bfloat16 natively, on CPUs with AMX tiles, and on AMD's with AVX512-BF16: there it
    was measured at two to five times the speed of float32, on another CPU with AVX512-BF16 at half of it.
    """
    if not on_accelerator(use_cpu):
        cpu = torch.cpu.get_capabilities()
        native = cpu.get("avx512_bf16", False) and "AMD" in cpu.get("cpu_name", "")
        return bool(cpu.get("amx_bf16", False) or native)
    device = torch.accelerator.current_accelerator()
    if device is None or device.type == "mps":
        return False
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return True


def resolve_device_defaults(args: Any) -> None:
    """Choose what the user left to the device, before `TrainingArguments.__post_init__` looks at it.

    `bf16` where the hardware is fast at it, recomputed activations on accelerators only.
    """
    if args.bf16 is None:
        args.bf16 = not args.fp16 and has_fast_bf16(args.use_cpu)
    accelerated = on_accelerator(args.use_cpu)
    resolve_activation_checkpointing(args, default=accelerated)
    if not accelerated:
        args.dataloader_pin_memory = False  # memory is pinned for an accelerator; without one torch warns
        args.use_cpu = args.use_cpu or args.bf16  # else transformers takes bfloat16 for a mistake


def check_launch(args: Any) -> None:
    """Raise if one process would drive several devices."""
    if args.n_gpu > 1:
        raise ValueError(
            f"{args.n_gpu} devices are visible to one process, which would cut batches up (nn.DataParallel). Start one "
            "process per device with `accelerate launch` or `torchrun`, or set CUDA_VISIBLE_DEVICES."
        )
