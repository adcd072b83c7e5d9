"""Templates that mark what the assistant says, so that it alone can be learned."""

import logging
import re
from importlib import resources

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data.chat import ChatRenderer, chat_templates

logger = logging.getLogger(__name__)

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

    The template given out writes ChatML, for tokenizers whose own template does.

    Raises:
        ValueError: the tokenizer's template writes something else, which a model trained on it would miss.
    """
    templates = chat_templates(processing_class or tokenizer)
    if has_generation_markers(templates):
        return None
    if not all(token in template for template in templates.values() for token in CHATML_TOKENS):
        raise ValueError(
            "the chat template does not mark what the assistant says, and it is not ChatML, so there is no ready-made "
            "replacement. Copy it, put `{% generation %}` and `{% endgeneration %}` around what the assistant says, "
            "and set `chat_template_path` to the copy."
        )
    return resources.files(__package__).joinpath("chatml.jinja").read_text(encoding="utf-8")


def check_generation_markers(processing_class: PreTrainedTokenizerBase | ProcessorMixin) -> None:
    """Raise unless the template marks what the assistant says; warn if that does not include the end of its turn.

    Raises:
        ValueError: it marks nothing; the message says where to get a template that does.
    """
    if not has_generation_markers(chat_templates(processing_class)):
        raise ValueError(
            "`assistant_only_loss=True` needs a chat template that puts `{% generation %}` and `{% endgeneration %}` "
            "around what the assistant says, and this one does not. Set `chat_template_path` to one that does (for "
            "ChatML models: save the text of `sternpost.get_training_chat_template(tokenizer)` as a file), or set "
            "`assistant_only_loss=False`."
        )
    if ends_inside(processing_class):
        logger.warning(
            "The chat template marks what the assistant says without the end of its turn, so with "
            "`assistant_only_loss=True` the model does not learn to stop. Move `{% endgeneration %}` behind it."
        )


def ends_inside(processing_class: PreTrainedTokenizerBase | ProcessorMixin) -> bool:
    """Whether the template writes the end of the assistant's turn behind the generated span."""
    chat = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "reply"}]
    try:
        rendered = ChatRenderer(processing_class).render(chat, spans=True)
    except (TemplateError, TypeError, KeyError):  # it wants more than this; the rows will show
        return False
    spans = [rendered.text[start:end] for start, end in rendered.generated]
    return any(span.endswith("reply") for span in spans) and not rendered.text.rstrip().endswith("reply")
