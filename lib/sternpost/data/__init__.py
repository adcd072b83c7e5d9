"""Row formats, chat rendering, tokenisation, packing and padding: plumbing that knows no training method."""

from .chat import apply_chat_template, maybe_apply_chat_template
from .formats import is_conversational, is_conversational_from_value, maybe_convert_to_chatml
from .multimodal import prepare_multimodal_messages
from .packing import pack_dataset

__all__ = [
    "apply_chat_template",
    "is_conversational",
    "is_conversational_from_value",
    "maybe_apply_chat_template",
    "maybe_convert_to_chatml",
    "pack_dataset",
    "prepare_multimodal_messages",
]
