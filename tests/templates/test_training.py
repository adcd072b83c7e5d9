"""The training template: what it writes, what it marks, and when another one is asked for."""

import json
import logging
from itertools import pairwise

import pytest

from sternpost import get_training_chat_template
from sternpost.data.chat import ChatRenderer
from sternpost.templates import check_generation_markers, has_generation_markers

from .. import tiny

PLAIN_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SYSTEM = {"role": "system", "content": "be brief"}
ASK = {"role": "user", "content": "what <is> \"it\" & 'so'?"}
SAY = {"role": "assistant", "content": "a ship"}
TOOL = {"type": "function", "function": {"name": "steer", "parameters": {"type": "object", "properties": {}}}}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "steer", "arguments": {"by": "é"}}}]}
ANSWER = {"role": "tool", "name": "steer", "content": "done"}


def with_template(template: str | None):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def renderer() -> ChatRenderer:
    return ChatRenderer(tiny.tokenizer(), get_training_chat_template(with_template(PLAIN_CHATML)))


def generated(chat, **options) -> list[str]:
    rendered = renderer().render(chat, spans=True, **options)
    return [rendered.text[start:end] for start, end in rendered.generated]


@pytest.mark.parametrize("chat", [[ASK, SAY], [SYSTEM, ASK, SAY, ASK], [SYSTEM, ASK], [ASK, SAY, ASK, SAY], [SAY]])
@pytest.mark.parametrize("opened", [False, True])
def test_writes_what_chatml_writes(chat, opened):
    """Without tools the text is that of the usual ChatML template, so that the model reads what it knows."""
    usual = ChatRenderer(with_template(PLAIN_CHATML)).render(chat, add_generation_prompt=opened)
    assert renderer().render(chat, add_generation_prompt=opened).text == usual.text


def test_marks_what_the_assistant_says():
    """Each turn of the assistant with its end is marked, and nothing else."""
    assert generated([SYSTEM, ASK, SAY, ASK, {"role": "assistant", "content": "the rest"}]) == [
        "a ship<|im_end|>",
        "the rest<|im_end|>",
    ]


def test_tools():
    """Tools are described in the system turn; a call is marked as generated, an answer is not."""
    text = renderer().render([SYSTEM, ASK, CALL, ANSWER, SAY], [TOOL]).text
    assert text.count("<|im_start|>system") == 1
    assert text.startswith("<|im_start|>system\nbe brief\n\n")
    assert json.dumps(TOOL) in text
    assert "<|im_start|>tool\ndone<|im_end|>" in text
    assert generated([ASK, CALL, ANSWER, SAY], tools=[TOOL]) == [
        '<tool_call>\n{"name": "steer", "arguments": {"by": "é"}}\n</tool_call><|im_end|>',
        "a ship<|im_end|>",
    ]


def test_calls_without_content_and_more_than_one():
    """Calls may come without content, bare or with text before them; each is on lines of its own."""
    bare = {"role": "assistant", "tool_calls": [{"name": "steer", "arguments": {}}] * 2}
    call = '<tool_call>\n{"name": "steer", "arguments": {}}\n</tool_call>'
    assert generated([ASK, bare]) == [f"{call}\n{call}<|im_end|>"]
    assert generated([ASK, bare | {"content": "now:"}]) == [f"now:\n{call}\n{call}<|im_end|>"]


def test_typed_content():
    """Parts of text are put together; another part leaves a placeholder of its type."""
    parts = [{"type": "image"}, {"type": "text", "text": "what is it"}]
    text = renderer().render([{"role": "user", "content": parts}]).text
    assert text == "<|im_start|>user\n<|image|>what is it<|im_end|>\n"


def test_earlier_turns_do_not_change():
    """The text of a conversation begins with the text of its beginning: what was generated stays as it was."""
    chat = [SYSTEM, ASK, CALL, ANSWER, SAY, ASK, SAY]
    texts = [renderer().render(chat[:count], [TOOL]).text for count in range(1, len(chat) + 1)]
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))


def test_only_when_needed():
    """A template that marks what is said needs no replacement."""
    assert get_training_chat_template(tiny.tokenizer()) is None
    assert get_training_chat_template(tokenizer=tiny.tokenizer()) is None


def test_not_for_other_formats():
    """A tokenizer that writes something else gets told how to mark its own template."""
    with pytest.raises(ValueError, match=r"put `{% generation %}`.*`chat_template_path`"):
        get_training_chat_template(with_template("{{ messages[0].content }}"))


@pytest.mark.parametrize("marker", ["{% generation %}", "{%- generation -%}", "{%generation%}"])
def test_markers_in_any_spelling(marker):
    """Spaces and minus signs in the tag do not matter; a word in the text is no marker."""
    assert has_generation_markers(f"{marker}x")
    assert not has_generation_markers("generation")
    assert has_generation_markers({"default": marker, "tool_use": marker})
    assert not has_generation_markers({"default": marker, "tool_use": ""})


def test_missing_markers_are_an_error():
    """The error names the option, the reason and two ways out."""
    with pytest.raises(ValueError, match=r"`assistant_only_loss=True` needs.*`chat_template_path`.*get_training_chat"):
        check_generation_markers(with_template(PLAIN_CHATML))


@pytest.mark.parametrize(
    ("template", "warns"),
    [
        ("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}<end>{% endfor %}", True),
        ("{% for m in messages %}{% generation %}{{ m.content }}<end>{% endgeneration %}{% endfor %}", False),
        ("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}\n{% endfor %}", False),
        ("{% generation %}{{ messages[0].nothing.deeper }}{% endgeneration %}", False),
        (tiny.CHAT_TEMPLATE, False),
    ],
)
def test_turns_whose_end_is_not_learned(caplog, template, warns):
    """A template that leaves the end of the turn unmarked, so that the model would not learn to stop, is told."""
    with caplog.at_level(logging.WARNING):
        check_generation_markers(with_template(template))
    assert any("does not learn to stop" in record.getMessage() for record in caplog.records) is warns
