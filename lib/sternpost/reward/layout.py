"""How the pairs of a batch are laid out: end to end without repeating what they share, or padded."""

import logging
from collections.abc import Callable
from typing import Any

from transformers import PreTrainedModel

from ..data.batches import multiple_of
from ..data.chat import ProcessingClass, tokenizer_of
from ..data.multimodal import has_images
from ..models.sequence import keep_sequences_apart
from .config import RewardConfig
from .data import DataCollatorForPreference
from .vision import DataCollatorForVisionPreference

logger = logging.getLogger(__name__)


def shares_beginnings(args: RewardConfig, model: PreTrainedModel, wants_padding: bool) -> bool:
    """Whether what the sequences of a pair share is computed once; if so, the model is ready for it.

    Raises:
        ValueError: it was asked for, but the model would let the answers see one another, or something needs padding.
    """
    if args.padding_free is False or (wants_padding and args.padding_free is None):
        return False
    if wants_padding:
        raise ValueError(
            "`padding_free=True` lays pairs end to end, which images, prompt tuning and a `data_collator` of your own "
            "do not allow. Leave it out."
        )
    if keep_sequences_apart(model):
        return True
    reason = f"{type(model).__name__} would let the answers of a pair see one another, or reads its score elsewhere"
    if args.padding_free:
        raise ValueError(f"`padding_free=True` lays pairs end to end, but {reason}. Leave it out.")
    logger.warning("Each answer is computed with a prompt of its own, because %s.", reason)
    return False


def default_collator(
    processing_class: ProcessingClass, args: RewardConfig, columns: list[str], shares: bool
) -> Callable[[list[Any]], dict[str, Any]]:
    """What makes batches of pairs with these columns."""
    multiple = multiple_of(args.pad_to_multiple_of)
    if has_images(columns):
        return DataCollatorForVisionPreference(processing_class, args.max_length, multiple)
    return DataCollatorForPreference(
        tokenizer_of(processing_class).pad_token_id, pad_to_multiple_of=multiple, padding_free=shares
    )
