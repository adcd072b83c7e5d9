"""Conversations as text: where prompts end, what is generated, and who is told when a template fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sternpost import apply_chat_template, maybe_apply_chat_template
from sternpost.data.chat import ChatRenderer, common_start, render_rows
from sternpost.data.rows import RowBatch

from .. import tiny

ASK = {"role": "user", "content": "what stands still"}
SAY = {"role": "assistant", "content": "the sternpost"}
OPENED = "<|im_start|>user\nwhat stands still<|im_end|>\n<|im_start|>assistant\n"
THINKING = (
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}"
    "{{ m.content }}{% if not (loop.last and continue_final_message) %};{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant><thought>{% endif %}"
)


def test_messages_become_text():
    """A conversation is rendered whole, under the name `text`."""
    assert apply_chat_template({"messages": [ASK, SAY]}, tiny.tokenizer()) == {
        "text": OPENED + "the sternpost<|im_end|>\n"
    }


def test_prompt_and_completion_are_the_whole():
    """A completion is what follows the prompt, so that both together are the conversation."""
    example = {"prompt": [ASK], "completion": [SAY], "label": True, "other": 1}
    rendered = apply_chat_template(example, tiny.tokenizer())
    assert rendered == {"prompt": OPENED, "completion": "the sternpost<|im_end|>\n", "label": True}


@pytest.mark.parametrize("replies", [("completion",), ("chosen", "rejected")])
def test_replies_of_templates_that_change_the_prompt(replies):
    """If the reply is not rendered after the prompt's own rendering, the prompt ends where they part."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = THINKING
    rendered = apply_chat_template({"prompt": [ASK], **{reply: [SAY] for reply in replies}}, tokenizer)
    for reply in replies:
        assert rendered["prompt"] + rendered[reply] == (
            "<user>what stands still;<assistant><think></think>the sternpost;"
        )
    assert rendered["prompt"] == "<user>what stands still;<assistant><th"


def test_preferences_without_prompt():
    """Whole conversations to compare are rendered each for itself."""
    rendered = apply_chat_template({"chosen": [ASK, SAY], "rejected": [ASK]}, tiny.tokenizer())
    assert rendered["chosen"] == OPENED + "the sternpost<|im_end|>\n"
    assert rendered["rejected"] == "<|im_start|>user\nwhat stands still<|im_end|>\n"


def test_open_prompt():
    """A prompt that ends with the assistant is left open for more."""
    rendered = apply_chat_template({"prompt": [ASK, SAY]}, tiny.tokenizer())
    assert rendered == {"prompt": OPENED + "the sternpost"}


def test_tools_and_options_reach_the_template():
    """The template sees the tools, the options of the call and those of the row; the call's win."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{{ tools[0].function.name }} {{ mood }} {{ pace }}"
    example = {"messages": [ASK], "chat_template_kwargs": {"mood": "calm", "pace": "slow"}}
    tools = [{"type": "function", "function": {"name": "steer", "arguments": None}}]
    assert apply_chat_template(example, tokenizer, tools, pace="fast") == {"text": "steer calm fast"}


def test_template_for_tools():
    """A tokenizer with a template of its own for tools uses it for the rows that have some."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = {"default": "plain", "tool_use": "with tools"}
    assert apply_chat_template({"messages": [ASK]}, tokenizer) == {"text": "plain"}
    tool = {"type": "function", "function": {"name": "steer"}}
    assert apply_chat_template({"messages": [ASK]}, tokenizer, [tool]) == {"text": "with tools"}


def test_other_rows_stay():
    """Only conversations are rendered."""
    assert maybe_apply_chat_template({"text": "a"}, tiny.tokenizer()) == {"text": "a"}
    assert maybe_apply_chat_template({"messages": [ASK]}, tiny.tokenizer())["text"].startswith("<|im_start|>user")


def test_unknown_columns():
    """Columns that form no format are named."""
    with pytest.raises(ValueError, match=r"\['completion'\] form no known format"):
        apply_chat_template({"completion": [SAY]}, tiny.tokenizer())


def test_no_template():
    """Without a template the way to one is shown."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match=r"has no chat template\. Set `chat_template_path`"):
        apply_chat_template({"messages": [ASK]}, tokenizer)


@given(st.lists(st.tuples(st.booleans(), st.text(st.characters(exclude_categories=["Cs"]), max_size=12)), min_size=1))
def test_generated_spans(turns):
    """The spans are what the assistant says and the end of its turn, in any script."""
    chat = [{"role": "assistant" if generated else "user", "content": content} for generated, content in turns]
    rendered = ChatRenderer(tiny.tokenizer()).render(chat, spans=True)
    spans = [rendered.text[start:end] for start, end in rendered.generated]
    assert spans == [content + "<|im_end|>" for generated, content in turns if generated]


@given(st.text(max_size=6), st.text(max_size=6))
def test_common_start(left, right):
    """The longest beginning that both texts have."""
    length = common_start(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('roles must alternate') }}", "TemplateError: roles must alternate"),
        ("{{ messages[0].nothing.deeper }}", "UndefinedError"),
        ("{{ messages[0].content + 1 }}", "TypeError"),
    ],
)
def test_failures_name_the_row(template, reason):
    """Whatever goes wrong inside a template is said with split, row and column."""
    renderer = ChatRenderer(tiny.tokenizer(), "{% if messages[0].content == 'bad' %}" + template + "{% endif %}")
    chats = [[ASK], [{"role": "user", "content": "bad"}]]
    rows = RowBatch({"messages": chats}, [40, 41], "train")
    with pytest.raises(ValueError, match=f"train row 41, column `messages`: the chat template fails with {reason}"):
        render_rows(rows, "messages", chats, lambda chat, tools, options: renderer.render(chat, tools, **options))
