"""Templates that mark what the assistant says, so that it alone can be learned."""

import re
from importlib import resources

from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data.chat import chat_templates

MARKERS = re.compile(r"\{%-?\s*generation\s*-?%\}")
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")


def has_generation_markers(chat_template: str | dict[str, str]) -> bool:
    """Whether a chat template, or each of several by name, marks generated text with `{% generation %}`."""
    templates = chat_template.values() if isinstance(chat_template, dict) else [chat_template]
    return all(MARKERS.search(template) for template in templates)


def get_training_chat_template(
    processing_class: PreTrainedTokenizerBase | ProcessorMixin | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> str | None:
    """A template that marks what the assistant says, or None if the tokenizer's own does.

    The template given out is ChatML, for tokenizers whose own template writes ChatML.

    Raises:
        ValueError: the tokenizer's template is another, so that ChatML would change what the model reads.
    """
    processing_class = processing_class or tokenizer
    templates = chat_templates(processing_class)
    if has_generation_markers(templates):
        return None
    if not all(token in template for template in templates.values() for token in CHATML_TOKENS):
        raise ValueError(
            "the chat template does not mark what the assistant says, and it is not ChatML, so there is no ready-made "
            "replacement. Copy it, put `{% generation %}` and `{% endgeneration %}` around what the assistant says, and "
            "set `chat_template_path` to the copy."
        )
    return chatml()


def require_generation_markers(processing_class: PreTrainedTokenizerBase | ProcessorMixin) -> None:
    """Raise unless the template marks what the assistant says.

    Raises:
        ValueError: it does not; the message says where to get one that does.
    """
    if not has_generation_markers(chat_templates(processing_class)):
        raise ValueError(
            "`assistant_only_loss=True` needs a chat template that puts `{% generation %}` and `{% endgeneration %}` around "
            "what the assistant says, and this one does not. Set `chat_template_path` to one that does (for ChatML "
            "models: save the text of `sternpost.get_training_chat_template(tokenizer)` as a file), or set "
            "`assistant_only_loss=False`."
        )


def chatml() -> str:
    """The text of the ChatML training template of this package."""
    return resources.files(__package__).joinpath("chatml.jinja").read_text(encoding="utf-8")
