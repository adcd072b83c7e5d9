"""What the policy is compared with."""

from typing import Any

from accelerate.utils import is_peft_model

from ..models.policy import base_of
from ..models.reference import add_reference_adapter, load_reference
from .config import DPOConfig


def reference_of(
    policy: Any, ref_model: Any, given_adapter: bool, auto_class: Any, args: DPOConfig, quantization_config: Any
) -> Any:
    """The model to compare with, or None if the policy is its own reference, without its adapter or with another one.

    A policy whose reference is precomputed is that reference itself before it is trained.
    """
    if ref_model is None and is_peft_model(policy):
        if args.sync_ref_model or given_adapter:
            add_reference_adapter(policy)
        return None
    if ref_model is None and args.precompute_ref_log_probs:
        return None
    if ref_model is policy:
        ref_model = base_of(policy)  # which `load_reference` refuses
    return load_reference(ref_model, base_of(policy), auto_class, args, quantization_config)
