"""Turning what the user passed (a path, a model, an adapter config) into a policy that is ready to train."""

import json
from pathlib import Path
from typing import Any, TypeAlias

import torch
from accelerate import PartialState
from accelerate.utils import is_peft_model
from transformers import (
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
    TrainingArguments,
)

from ..data.chat import tokenizer_of
from ..templates import clone_chat_template

ProcessingClass: TypeAlias = PreTrainedTokenizerBase | ProcessorMixin


def load_policy(model: Any, auto_class: Any, args: Any, quantization_config: Any = None) -> Any:
    """Load `model` if it is a path or an id, in float32 unless `model_init_kwargs` say otherwise; else return it.

    Raises:
        ValueError: arguments were given for a model that is already loaded, where they could have no effect.
        OSError: there is no such model.
    """
    kwargs = model_init_kwargs(args)
    if quantization_config is not None:
        kwargs["quantization_config"] = quantization_config
    if not isinstance(model, str):
        if kwargs:
            raise ValueError(
                f"`model` is a loaded {type(model).__name__}, so {', '.join(f'`{name}`' for name in kwargs)} would be "
                "ignored. Pass the path of the model instead, or drop these arguments."
            )
        return model
    kwargs.setdefault("dtype", torch.float32)
    if PartialState().num_processes > 1 and "device_map" not in kwargs:
        kwargs["device_map"] = None  # "auto" would spread one copy of the model over the devices of all ranks
    return auto_class.from_pretrained(model, trust_remote_code=args.trust_remote_code, **kwargs)


def model_init_kwargs(args: Any) -> dict[str, Any]:
    """A copy of `model_init_kwargs`, whose `dtype` may be a name.

    Raises:
        ValueError: it is not a dictionary, or the dtype is unknown.
    """
    kwargs = args.model_init_kwargs or {}
    if isinstance(kwargs, str):
        kwargs = json.loads(kwargs)
    if not isinstance(kwargs, dict):
        raise ValueError(f"`model_init_kwargs={kwargs!r}` must be a dictionary of arguments for `from_pretrained`.")
    kwargs = dict(kwargs)
    dtype = kwargs.get("dtype")
    if isinstance(dtype, str) and dtype != "auto":
        if not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise ValueError(
                f'`model_init_kwargs` has `dtype="{dtype}"`, which is not a torch dtype. Use "auto", "float32", '
                '"bfloat16" or "float16".'
            )
        kwargs["dtype"] = getattr(torch, dtype)
    return kwargs


def load_processing_class(processing_class: ProcessingClass | None, model: Any, args: Any) -> ProcessingClass:
    """The tokenizer or processor given, or the one published with the model.

    Raises:
        ValueError: none was given and none is published with the model.
    """
    if processing_class is not None:
        return processing_class
    name = model.config._name_or_path
    revision = model_init_kwargs(args).get("revision")
    for auto_class in (AutoProcessor, AutoTokenizer):
        try:
            found = auto_class.from_pretrained(name, revision=revision, trust_remote_code=args.trust_remote_code)
        except (OSError, ValueError):
            continue
        tokenizer = tokenizer_of(found)
        if len(tokenizer) > len(tokenizer.all_special_tokens):  # without files, transformers makes an empty one
            return found
    raise ValueError(f"No tokenizer is published with the model {name!r}. Pass one as `processing_class`.")


def use_chat_template(model: PreTrainedModel, processing_class: ProcessingClass, path: str) -> None:
    """Give the tokenizer the chat template of a Jinja file, or of another tokenizer with the special tokens it needs.

    Raises:
        OSError: `path` is neither a file nor a tokenizer.
    """
    if Path(path).is_file():
        processing_class.chat_template = Path(path).read_text(encoding="utf-8")
        return
    try:
        clone_chat_template(model, tokenizer_of(processing_class), path)
    except (OSError, ValueError) as error:
        raise OSError(
            f"`chat_template_path={path!r}` is neither a Jinja file nor the directory or id of a tokenizer with a chat "
            f"template: {error}"
        ) from error


def align_special_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, eos_token: str | None) -> None:
    """Make model and tokenizer agree on the tokens that end and pad a sequence.

    Raises:
        ValueError: `eos_token` is not in the vocabulary, or the tokenizer knows tokens that the model does not.
    """
    if eos_token is not None:
        index = tokenizer.convert_tokens_to_ids(eos_token)
        if index is None or index == tokenizer.unk_token_id:
            raise ValueError(f"`eos_token={eos_token!r}` is not in the tokenizer's vocabulary. Add it there first.")
        tokenizer.eos_token = eos_token
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError("The tokenizer has neither a pad token nor an end token. Set `tokenizer.pad_token`.")
        tokenizer.pad_token = tokenizer.eos_token
    embeddings = model.get_input_embeddings()
    known = getattr(embeddings, "num_embeddings", None)
    if known is not None and len(tokenizer) > known > 0:
        raise ValueError(
            f"The tokenizer has {len(tokenizer)} tokens, the model only {known}. Use the tokenizer that belongs to the "
            "model, or enlarge the model with `model.resize_token_embeddings(len(tokenizer))`."
        )
    for config in {id(config): config for config in (model.config, model.config.get_text_config())}.values():
        config.pad_token_id = tokenizer.pad_token_id
        config.eos_token_id = tokenizer.eos_token_id
    if getattr(model, "generation_config", None) is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        ends = list(dict.fromkeys([tokenizer.eos_token_id, *end_tokens(model)]))  # others still end a turn or a text
        model.generation_config.eos_token_id = ends[0] if len(ends) == 1 else ends


def end_tokens(model: PreTrainedModel) -> list[int]:
    """The tokens with which the model's completions end, as its generation config says."""
    found = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return [] if found is None else [found] if isinstance(found, int) else list(found)


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """What ends a completion that is sampled: any end token, or padding."""
    return frozenset({*end_tokens(model), tokenizer.eos_token_id, tokenizer.pad_token_id} - {None})


def attach_adapter(model: Any, peft_config: Any, args: TrainingArguments) -> Any:
    """Wrap `model` with the adapter of `peft_config`, or get an already wrapped one ready to train.

    Raises:
        ValueError: `peft_config` was given for a model that carries an adapter, or nothing is trainable.
        ImportError: PEFT is not installed.
    """
    if peft_config is not None:
        try:
            from peft import get_peft_model, prepare_model_for_kbit_training
        except ImportError as error:
            raise ImportError("`peft_config` needs PEFT: `pip install 'sternpost[peft]'`.") from error
        if is_peft_model(model):
            raise ValueError(
                "`model` already carries an adapter, so `peft_config` has nothing to wrap. Merge the adapter first "
                "(`model.merge_and_unload()`), or drop `peft_config`."
            )
        if is_quantized(model):
            model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        model = get_peft_model(model, peft_config)
    if is_peft_model(model) and args.gradient_checkpointing:
        model.enable_input_require_grads()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            "No parameter of `model` is trainable. Unfreeze some, pass a `peft_config`, or load the adapter with "
            "`PeftModel.from_pretrained(..., is_trainable=True)`."
        )
    if is_quantized(model) and not is_peft_model(model):
        raise ValueError("A quantised `model` cannot be trained by itself. Pass a `peft_config`.")
    return model


def is_quantized(model: Any) -> bool:
    """Whether the base weights are stored in fewer bits than they are computed in."""
    return getattr(model, "hf_quantizer", None) is not None


def has_prompt_tokens(model: Any) -> bool:
    """Whether an adapter puts virtual tokens in front of every row."""
    return is_peft_model(model) and any(config.is_prompt_learning for config in model.peft_config.values())


def check_can_sample(model: Any) -> None:
    """Raise a ValueError if a policy cannot draw completions as it is trained."""
    if has_prompt_tokens(model):
        raise ValueError(
            "The adapter puts virtual tokens in front of every row, which cannot be sampled. Use an adapter of another "
            "kind, such as LoRA."
        )


def base_of(model: Any) -> PreTrainedModel:
    """The model under an adapter, or the model itself."""
    return model.get_base_model() if is_peft_model(model) else model


def router_coefficient(model: PreTrainedModel, asked: float | None) -> float:
    """Weight of the load-balancing loss: what was asked for, else the model's own, else 0.

    Raises:
        ValueError: a weight was asked for a model that has no router.
    """
    config = model.config.get_text_config()
    own = getattr(config, "router_aux_loss_coef", None)
    if own is None:
        if asked:
            raise ValueError(
                f"`router_aux_loss_coef={asked}` has no effect: {type(model).__name__} has no such loss. Drop it."
            )
        return 0.0
    return own if asked is None else asked
