"""What the device is good at, so that defaults can follow it."""

import torch


def on_accelerator(use_cpu: bool = False) -> bool:
    """Whether training runs on something other than the CPU."""
    return not use_cpu and torch.accelerator.is_available()


def has_fast_bf16(use_cpu: bool = False) -> bool:
    """Whether matrix products in bfloat16 are faster than in float32.

    True on accelerators that support bfloat16 natively and on CPUs with AMX tiles. AVX512-BF16 alone is not enough: it
    was measured at half the speed of float32.
    """
    if not on_accelerator(use_cpu):
        return bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    device = torch.accelerator.current_accelerator()
    if device is None or device.type == "mps":
        return False
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return True
