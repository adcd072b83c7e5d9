"""The reference that a policy is held to: where it comes from, how it is scored, how it follows the policy.

`another model`   loaded or copied, frozen, never trained                              load_reference, prepare_reference
`adapter off`     the policy's own base without its adapter: no second copy            as_reference (both adapters)
`adapter "ref"`   another adapter on the policy's base, a frozen copy of the first     add_reference_adapter
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import is_peft_model
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel, TrainerCallback

from .policy import load_policy
from .tiled import is_sharded

ADAPTER = "ref"
"""Name of the adapter that is the reference."""
REFERENCE = "reference.pt"
"""File of a checkpoint with the weights of a reference that follows the policy."""


def disable_dropout(model: Any) -> None:
    """Set the probability of every dropout layer to zero."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):  # a number that attention reads
            module.attention_dropout = 0.0


def load_reference(ref_model: Any, policy: PreTrainedModel, auto_class: Any, args: Any, quantization: Any) -> Any:
    """A frozen model: `ref_model`, loaded if it is a path, or without one a copy of the policy as it is now.

    Raises:
        ValueError: `ref_model` is the policy itself, or the policy's weights are sharded and cannot be copied.
    """
    if ref_model is policy:
        raise ValueError(
            "`ref_model` is the same object as `model`, so it would be trained along. Leave it out: a copy is made."
        )
    if isinstance(ref_model, str):
        ref_model = load_policy(ref_model, auto_class, args, quantization)
    if ref_model is None:
        if any(is_sharded(weight) or weight.is_meta for weight in policy.parameters()):
            raise ValueError(
                "The weights of `model` are sharded already, so that no copy can be made for the reference. Pass its "
                "path as `ref_model`, or set `precompute_ref_log_probs=True`."
            )
        ref_model = copy.deepcopy(policy)
    return ref_model.requires_grad_(False).eval()


def starting_reference(model: Any, policy: Any, auto_class: Any, args: Any, quantization: Any) -> Any:
    """The policy as it was when training began, frozen: loaded again from the path `model`, or copied.

    None if `beta` is 0, or if the policy is its own reference, without its adapter or, where it came with one (or the
    reference follows), with a copy of that.
    """
    if not args.beta:
        return None
    if is_peft_model(policy):
        if args.sync_ref_model or (not isinstance(model, str) and is_peft_model(model)):
            add_reference_adapter(policy)
        return None
    reference = load_reference(model if isinstance(model, str) else None, policy, auto_class, args, quantization)
    disable_dropout(reference)
    return reference


def prepare_reference(model: Any, accelerator: Accelerator) -> Any:
    """Put a frozen model where the policy is: on its device, or sharded over the ranks as the policy is."""
    if accelerator.state.deepspeed_plugin is not None:
        return with_deepspeed(model, accelerator)
    if getattr(accelerator, "is_fsdp2", False):
        from accelerate.utils import fsdp2_prepare_model

        return fsdp2_prepare_model(accelerator, model)
    return accelerator.prepare_model(model, evaluation_mode=True)


def with_deepspeed(model: Any, accelerator: Accelerator) -> Any:
    """A frozen model as a DeepSpeed engine without an optimizer; only ZeRO-3 shards what has none."""
    import deepspeed

    config = copy.deepcopy(accelerator.state.deepspeed_plugin.deepspeed_config)
    config.pop("optimizer", None)
    config.pop("scheduler", None)
    if config["zero_optimization"]["stage"] != 3:
        config["zero_optimization"]["stage"] = 0
    engine, *_ = deepspeed.initialize(model=model, config=config)
    return engine.eval()


def add_reference_adapter(model: Any) -> None:
    """Keep a frozen copy of the active adapter under the name `ref`, unless there is an adapter of that name."""
    active = model.active_adapter
    if ADAPTER not in model.peft_config:
        model.add_adapter(ADAPTER, model.peft_config[active])
        for own, reference in adapter_pairs(model, active):
            reference.data.copy_(own.data)
    model.set_adapter(active)
    for name, parameter in model.named_parameters():
        if f".{ADAPTER}." in name:
            parameter.requires_grad_(False)


def adapter_pairs(model: Any, active: str) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """The parameters of the active adapter with those of the reference."""
    parameters = dict(model.named_parameters())
    return [
        (parameter, parameters[name.replace(f".{active}.", f".{ADAPTER}.")])
        for name, parameter in parameters.items()
        if f".{active}." in name
    ]


@contextmanager
def as_reference(model: Any) -> Iterator[None]:
    """A policy with an adapter as its own reference: with the adapter `ref` if it has one, else with none."""
    if not is_peft_model(model):
        yield
    elif ADAPTER not in model.peft_config:
        with model.disable_adapter():
            yield
    else:
        active = model.active_adapter
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        model.set_adapter(ADAPTER)
        try:
            yield
        finally:
            model.set_adapter(active)  # which also says what is trained
            for name, parameter in model.named_parameters():
                if f".{ADAPTER}." in name:
                    parameter.requires_grad_(False)
            for parameter in trained:
                parameter.requires_grad_(True)


class FollowPolicy(TrainerCallback):
    """Mix the policy into its reference every some steps: `ref <- alpha policy + (1 - alpha) ref`.

    TR-DPO, https://huggingface.co/papers/2404.09656, eq. 4 and 5. Of adapters, each of the two factors is mixed.
    """

    def __init__(self, reference: Any, accelerator: Accelerator, alpha: float, steps: int) -> None:
        self.reference, self.accelerator, self.alpha, self.steps = reference, accelerator, alpha, steps

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.pairs(kwargs["model"])  # raises before a step is made

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % self.steps:
            return
        for own, other in self.pairs(kwargs["model"]):
            with gathered(own, other), torch.no_grad():
                other.data.lerp_(own.data.to(other.dtype), self.alpha)

    def pairs(self, model: Any) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """Each parameter of the policy with the one of the reference that follows it.

        Raises:
            ValueError: the reference is of another shape.
        """
        policy = self.accelerator.unwrap_model(model)
        for each in (model, self.reference):
            shard_again(each)
        if self.reference is None:
            return adapter_pairs(policy, policy.active_adapter)
        own, other = (list(each.parameters()) for each in (policy, self.accelerator.unwrap_model(self.reference)))
        if [weight.shape for weight in own] != [weight.shape for weight in other]:
            raise ValueError(
                "`sync_ref_model=True` mixes weights of `model` into those of `ref_model`, but their shapes differ. "
                "Pass a reference of the same architecture (without an adapter), or leave `ref_model` out."
            )
        return list(zip(own, other, strict=True))


def shard_again(model: Any) -> None:
    """Let FSDP2 take back weights that a forward pass has left whole, as it does with those of the outermost module."""
    for module in [] if model is None else model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


@contextmanager
def gathered(own: nn.Parameter, other: nn.Parameter) -> Iterator[None]:
    """Two parameters whole, if ZeRO-3 has spread them; changes to the second one are kept."""
    if not hasattr(other, "ds_id"):
        yield
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters([own, other], modifier_rank=0):
        yield


def save_reference(model: Any, checkpoint: Path, accelerator: Accelerator) -> None:
    """Keep a reference that follows the policy in a checkpoint. Every rank has to ask."""
    weights = whole_state(model)
    if accelerator.is_main_process:
        torch.save(weights, checkpoint / REFERENCE)


def resume_reference(model: Any, checkpoint: Path) -> None:
    """Make a reference what it was when a checkpoint was made. Every rank has to ask.

    Raises:
        ValueError: the checkpoint has none.
    """
    path = checkpoint / REFERENCE
    if not path.exists():
        raise ValueError(
            f"the checkpoint {checkpoint} has no `{REFERENCE}`: it was made without `sync_ref_model=True`. Leave that "
            "option out, or start another run from the checkpoint's model."
        )
    restore_state(model, torch.load(path, weights_only=True, map_location="cpu"))


def whole_state(model: Any) -> dict[str, Any]:
    """All weights of a model, gathered on the first rank's CPU. Every rank has to ask."""
    return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def restore_state(model: Any, weights: dict[str, Any]) -> None:
    """Put weights from `whole_state` back, sharded or not. Every rank has to ask; each has all weights."""
    set_model_state_dict(model, weights, options=StateDictOptions(full_state_dict=True))
