"""Print the versions and devices of this installation, for a bug report."""

import importlib.metadata
import platform

PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "peft",
    "bitsandbytes",
    "deepspeed",
    "vllm",
    "flash-attn",
    "safetensors",
    "tokenizers",
)


def main(argv: list[str]) -> int:
    """Print a list that can be pasted."""
    from .errors import UsageError

    if argv and argv[0] in ("-h", "--help"):
        print(f"usage: sternpost env\n\n{__doc__}")
        return 0
    if argv:
        raise UsageError(f"unexpected argument {argv[0]}: `sternpost env` takes none.")
    for name, value in (versions() | devices()).items():
        print(f"- {name}: {value}")
    return 0


def versions() -> dict[str, str]:
    """Version of Sternpost, of Python, and of the packages that matter to a run."""
    from .. import __version__

    found = {"sternpost": __version__, "python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def devices() -> dict[str, str]:
    """What torch sees of the hardware."""
    import os

    import torch

    found = {"processors": f"{os.cpu_count()}, torch uses {torch.get_num_threads()}"}
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is None:
        return found | {"accelerator": "none"}
    count = torch.accelerator.device_count()
    names = {torch.get_device_module(device).get_device_name(index) for index in range(count)}
    return found | {"accelerator": f"{count} x {', '.join(sorted(names))} ({device.type})"}
