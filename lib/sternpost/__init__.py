"""Sternpost: post-training with a contract.

Importing this package loads neither torch nor transformers: each name is imported when it is first used.
"""

import contextlib
import gc
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "DPOConfig",
    "DPOTrainer",
    "DatasetConfig",
    "DatasetMixtureConfig",
    "GRPOConfig",
    "GRPOTrainer",
    "ModelConfig",
    "RLOOConfig",
    "RLOOTrainer",
    "RewardArguments",
    "RewardConfig",
    "RewardTrainer",
    "RichProgressCallback",
    "SFTConfig",
    "SFTTrainer",
    "ScriptArguments",
    "__version__",
    "apply_chat_template",
    "clone_chat_template",
    "get_dataset",
    "get_peft_config",
    "get_quantization_config",
    "get_training_chat_template",
    "is_conversational",
    "is_conversational_from_value",
    "maybe_apply_chat_template",
    "maybe_convert_to_chatml",
    "pack_dataset",
    "prepare_multimodal_messages",
]

_HOMES = {
    "DPOConfig": "dpo",
    "DPOTrainer": "dpo",
    "DatasetConfig": "options",
    "DatasetMixtureConfig": "options",
    "GRPOConfig": "grpo",
    "GRPOTrainer": "grpo",
    "ModelConfig": "options",
    "RLOOConfig": "rloo",
    "RLOOTrainer": "rloo",
    "RewardArguments": "options",
    "RewardConfig": "reward",
    "RewardTrainer": "reward",
    "RichProgressCallback": "callbacks",
    "SFTConfig": "sft",
    "SFTTrainer": "sft",
    "ScriptArguments": "options",
    "apply_chat_template": "data",
    "clone_chat_template": "templates",
    "get_dataset": "options",
    "get_peft_config": "options",
    "get_quantization_config": "options",
    "get_training_chat_template": "templates",
    "is_conversational": "data",
    "is_conversational_from_value": "data",
    "maybe_apply_chat_template": "data",
    "maybe_convert_to_chatml": "data",
    "pack_dataset": "data",
    "prepare_multimodal_messages": "data",
}
"""Where each public name lives, relative to this package."""

if TYPE_CHECKING:
    from .callbacks import RichProgressCallback
    from .data import (
        apply_chat_template,
        is_conversational,
        is_conversational_from_value,
        maybe_apply_chat_template,
        maybe_convert_to_chatml,
        pack_dataset,
        prepare_multimodal_messages,
    )
    from .dpo import DPOConfig, DPOTrainer
    from .grpo import GRPOConfig, GRPOTrainer
    from .options import (
        DatasetConfig,
        DatasetMixtureConfig,
        ModelConfig,
        RewardArguments,
        ScriptArguments,
        get_dataset,
        get_peft_config,
        get_quantization_config,
    )
    from .reward import RewardConfig, RewardTrainer
    from .rloo import RLOOConfig, RLOOTrainer
    from .sft import SFTConfig, SFTTrainer
    from .templates import clone_chat_template, get_training_chat_template


# twin: sternpost.guard.scan.collector.paused
@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage: loading thousands of modules makes none, but is interrupted to look for it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        from .deprecation import missing

        raise missing(__name__, name)
    with _uncollected():
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
