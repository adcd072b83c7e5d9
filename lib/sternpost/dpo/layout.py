"""How the pairs of a batch are laid out: with shared prompts end to end, or written out and padded."""

import logging
from collections.abc import Callable
from typing import Any

from transformers import PreTrainedModel

from ..data.batches import multiple_of
from ..data.chat import ProcessingClass, tokenizer_of
from ..data.multimodal import has_images
from ..models.forward import keep_rows_apart
from .config import DPOConfig
from .data import DataCollatorForPreference
from .vision import DataCollatorForVisionPreference

logger = logging.getLogger(__name__)


def shares_prompts(args: DPOConfig, models: list[PreTrainedModel], wants_padding: bool) -> bool:
    """Whether the answers of a pair share their prompt; if so, the models are ready for it.

    Raises:
        ValueError: it was asked for, but a model would let the answers see one another, or something needs padding.
    """
    if args.padding_free is False or (wants_padding and args.padding_free is None):
        return False
    if wants_padding:
        raise ValueError(
            "`padding_free=True` lays pairs end to end, which images, prompt tuning, `compute_metrics`, and a "
            "`data_collator` or `scorer` of your own do not allow. Leave it out."
        )
    for model in models:
        if not keep_rows_apart(model, branches=True):
            reason = f"the layers of {type(model).__name__} would let the answers of a pair see one another"
            if args.padding_free:
                raise ValueError(f"`padding_free=True` lays pairs end to end, but {reason}. Leave it out.")
            logger.warning("Each answer is computed with a prompt of its own, because %s.", reason)
            return False
    return True


def default_collator(
    processing_class: ProcessingClass, args: DPOConfig, columns: list[str], shares: bool
) -> Callable[[list[Any]], dict[str, Any]]:
    """What makes batches of pairs with these columns."""
    multiple = multiple_of(args.pad_to_multiple_of)
    if has_images(columns):
        return DataCollatorForVisionPreference(processing_class, args.max_length, multiple)
    pad = tokenizer_of(processing_class).pad_token_id
    return DataCollatorForPreference(
        pad, args.max_length, args.truncation_mode, pad_to_multiple_of=multiple, padding_free=shares
    )
