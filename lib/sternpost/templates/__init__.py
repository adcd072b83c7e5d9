"""Chat templates: a ChatML template for training, checks of others, and taking over another tokenizer's."""

from .cloning import clone_chat_template
from .training import check_generation_markers, get_training_chat_template, has_generation_markers

__all__ = ["check_generation_markers", "clone_chat_template", "get_training_chat_template", "has_generation_markers"]
