"""Models that give one number to a whole sequence: how they are loaded, and that their head is trained."""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_layers import GenericForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutputWithPast

logger = logging.getLogger(__name__)

HEADS = ("score", "classifier")
"""Names that transformers gives to the head of a sequence-classification model."""
LOCATION = ("cache_dir", "revision", "subfolder", "token", "trust_remote_code")
"""Arguments of `from_pretrained` that say where a model is."""


class AutoSequenceScorer:
    """Loads a model with one score per sequence, of any architecture that has a body in transformers.

    From a checkpoint without a head, such as a language model's, it gets a new one, and the log says so.
    """

    @staticmethod
    def from_pretrained(name: str, **kwargs: Any) -> PreTrainedModel:
        """The model, as from `AutoModelForSequenceClassification.from_pretrained(name, num_labels=1)`.

        Raises:
            OSError: there is no such model.
            ValueError: the checkpoint has a head for several labels, or no model class.
        """
        location = {option: kwargs[option] for option in LOCATION if option in kwargs}
        kind = scorer_class(AutoConfig.from_pretrained(name, **location))
        with withheld_report() as reports:
            try:
                model, loading = kind.from_pretrained(name, num_labels=1, output_loading_info=True, **kwargs)
            except RuntimeError as error:
                if "mismatched" not in str(error):
                    raise
                raise ValueError(
                    f"{name!r} has a head for several labels, but a reward is one number. Use a checkpoint with "
                    "`num_labels=1`, or of a language model, which gets a new head."
                ) from error
        missing, unexpected = set(loading["missing_keys"]), set(loading["unexpected_keys"])
        new = {key for key in missing if key.split(".")[0] in HEADS}
        if missing - new or any("head" not in key for key in unexpected):
            for report in reports:
                logging.getLogger(report.name).handle(report)
        if new:
            logger.warning(
                "The head `%s` of %s is new, with random weights: there is none in %s.",
                min(new).split(".")[0], type(model).__name__, name,
            )  # fmt: skip
        return model


def scorer_class(config: PreTrainedConfig) -> Any:
    """What loads models of an architecture: transformers' own class, or where it has none the same head on the body.

    Raises:
        ValueError: it has no body either.
    """
    kind = type(config)
    remote = "AutoModelForSequenceClassification" in (getattr(config, "auto_map", None) or {})
    if remote or kind in AutoModelForSequenceClassification._model_mapping:
        return AutoModelForSequenceClassification
    if kind not in AutoModel._model_mapping:
        raise ValueError(f"transformers has no model for a {kind.__name__}, so it cannot be given a head.")
    return with_new_class(AutoModel._model_mapping[kind])


class LastTokenScore(GenericForSequenceClassification):
    """The head that transformers gives to decoders, for those that it has none for; read where theirs is read."""

    def forward(self, input_ids: Tensor, **kwargs: Any) -> SequenceClassifierOutputWithPast:
        kwargs = {name: value for name, value in kwargs.items() if value is not None}
        hidden = self.base_model(input_ids, **{**kwargs, "use_cache": False}).last_hidden_state
        real = (input_ids != self.config.get_text_config().pad_token_id).int()
        ends = (real * torch.arange(real.size(1), device=real.device)).argmax(1)
        return SequenceClassifierOutputWithPast(logits=self.score(hidden[torch.arange(len(ends)), ends]))


@cache
def with_new_class(body: Any) -> Any:
    """A sequence-classification model of the architecture of `body`."""
    parent = next(base for base in body.__mro__[1:] if issubclass(base, PreTrainedModel))
    name = body.__name__.removesuffix("Model") + "ForSequenceClassification"
    prefix = {"base_model_prefix": parent.base_model_prefix or "model"}
    return type(name, (LastTokenScore, parent), prefix)


@contextmanager
def withheld_report() -> Iterator[list[logging.LogRecord]]:
    """Keep what transformers says about missing and unexpected weights: that the head is new is no reason to worry."""
    held: list[logging.LogRecord] = []

    def is_other(record: logging.LogRecord) -> bool:
        if "LOAD REPORT" in record.getMessage():
            held.append(record)
            return False
        return True

    source = logging.getLogger("transformers.modeling_utils")
    source.addFilter(is_other)
    try:
        yield held
    finally:
        source.removeFilter(is_other)


def check_scores_sequences(model: PreTrainedModel) -> None:
    """Raise unless a loaded model gives one number per sequence."""
    labels = getattr(model.config, "num_labels", None)
    if head_name(model) is None:
        raise ValueError(
            f"{type(model).__name__} has no head that scores sequences. Load the checkpoint by "
            "`AutoModelForSequenceClassification.from_pretrained(..., num_labels=1)`, or pass its path: it gets a head."
        )
    if labels != 1:
        raise ValueError(
            f"`model` has `num_labels={labels}`, but a reward is one number. Load it with `num_labels=1`, or pass its "
            "path."
        )


def head_name(model: nn.Module) -> str | None:
    """The name of the head's module."""
    return next((name for name in HEADS if isinstance(getattr(model, name, None), nn.Module)), None)


def with_head(peft_config: Any) -> Any:
    """A copy of an adapter's config that trains and saves the head too.

    Raises:
        ValueError: the adapter is for another task.
    """
    from peft import TaskType

    peft_config = copy.deepcopy(peft_config)
    if peft_config.task_type not in (None, TaskType.SEQ_CLS):
        raise ValueError(
            f'`peft_config` has `task_type="{peft_config.task_type}"`, but the model scores sequences. Set it to '
            '"SEQ_CLS", or leave it out.'
        )
    peft_config.task_type = TaskType.SEQ_CLS  # with which PEFT trains and saves the head, whatever its name
    return peft_config


def check_trains_head(model: Any) -> None:
    """Raise if the head of a model with an adapter stays as it is."""
    if not is_peft_model(model):
        return
    name = head_name(model.get_base_model()) or ""
    if not any(weight.requires_grad for weight in model.get_base_model().get_submodule(name).parameters()):
        raise ValueError(
            'The adapter of `model` leaves the head as it is. Make it with `task_type="SEQ_CLS"`, which trains the '
            f'head and saves it with the adapter, or with `modules_to_save=["{name}"]`.'
        )
