"""What a template puts between replies is read off it, whatever it looks like; a template that cannot is refused."""

import json
import logging

import pytest
from transformers import AutoTokenizer

from sternpost import demo
from sternpost.data.chat import ChatRenderer
from sternpost.data.rows import without_none
from sternpost.generation.chat import ToolChat
from sternpost.generation.replies import parse_reply
from sternpost.generation.tools import ToolCall
from tests import tiny

from .talking import CHATML, END, TOKENIZER, call, tokenizer

STOP = frozenset({END})
TOOLS = [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {}}}]
CALL = ToolCall("add", {"left": 1}, "call00000")


def between(template: str, results=("5",), **kwargs) -> str:
    return ToolChat(tokenizer(template), kwargs).text_between([CALL] * len(results), results, TOOLS, STOP)


def test_chatml():
    """The rest of the turn, the results, the opening."""
    expected = "\n<|im_start|>tool\n5<|im_end|>\n<|im_start|>tool\n6<|im_end|>\n<|im_start|>assistant\n"
    assert between(CHATML, ("5", "6")) == expected
    ids = ToolChat(TOKENIZER).between([CALL] * 2, ["5", "6"], TOOLS, STOP)
    assert TOKENIZER.decode(ids) == expected


def test_a_template_that_fills_in_reasoning_when_nothing_follows():
    """As Qwen 3 does: the last reply is shown with empty reasoning, earlier ones are not."""
    thinking = CHATML.replace(
        "{{- written(message.content) -}}\n            {%- for call",
        "{{- '<think></think>' if loop.last -}}{{- written(message.content) -}}\n            {%- for call",
    )
    assert thinking != CHATML
    assert between(thinking) == between(CHATML)
    ToolChat(tokenizer(thinking)).check(TOOLS, STOP)


def test_a_template_without_an_end_of_turn():
    """All that it writes behind the reply is taken."""
    template = (
        "{% for message in messages %}{{ message.role ~ ': ' ~ message.content }}"
        "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
        "{{ '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    assert between(template) == "\ntool: 5\nassistant: "
    ToolChat(tokenizer(template)).check(TOOLS, STOP)


def test_a_result_that_continues_the_turn():
    """As Gemma 4 has it: the turn goes on behind the call, which ends with a token of its own."""
    template = (
        "{% for message in messages %}{% if message.role == 'tool' %}{{ '<|endoftext|>=' ~ message.content ~ ';' }}"
        "{% else %}{{ '<|im_start|>' ~ message.role ~ ':' ~ message.content }}"
        "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}"
        "{% if loop.last or loop.nextitem.role != 'tool' %}<|im_end|>{% endif %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt and messages[-1].role != 'tool' %}<|im_start|>assistant:{% endif %}"
    )
    chat = ToolChat(tokenizer(template))
    stop = frozenset({END, TOKENIZER.pad_token_id})
    assert chat.text_between([CALL], ["5"], TOOLS, stop) == "=5;"
    chat.check(TOOLS, stop)


@pytest.mark.parametrize(
    ("template", "error"),
    [
        (tiny.CHAT_TEMPLATE, "does not show calls of tools"),
        (CHATML.replace("<tool_call>", "[CALL]").replace("</tool_call>", "[/CALL]"), "cannot be read"),
        (CHATML.replace('written(message.content) ~ "<|im_end|>', '"...<|im_end|>'), "does not show the results"),
        ("{{ raise_exception('no tools') if tools }}" + CHATML, "cannot show a call.*no tools"),
    ],
)  # fmt: skip
def test_templates_that_cannot_show_tools_are_refused(template, error):
    """Before anything is generated, with what is missing."""
    with pytest.raises(ValueError, match=error):
        ToolChat(tokenizer(template)).check(TOOLS, STOP)


def test_a_template_that_hides_the_tools_is_warned_of(caplog):
    """The prompts may tell of them."""
    with caplog.at_level(logging.WARNING):
        ToolChat(tokenizer(CHATML.replace("tool | tojson", "''"))).check(TOOLS, STOP)
    assert "does not tell the model which tools there are" in caplog.text


def test_a_template_whose_openings_do_not_stay_is_warned_of(caplog):
    """As Qwen 3 with reasoning turned off: empty reasoning opens a reply and is gone later."""
    template = CHATML.replace('"<|im_start|>assistant\\n" -', '"<|im_start|>assistant\\n<think></think>" -')
    with caplog.at_level(logging.WARNING):
        ToolChat(tokenizer(template)).check(TOOLS, STOP)
    assert "opens a reply with" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        ToolChat(TOKENIZER).check(TOOLS, STOP)
    assert not caplog.text


def test_a_response_template_of_the_tokenizer_is_used():
    """Whatever its calls look like; arguments get the types of the schema."""
    words = tokenizer(CHATML.replace("<tool_call>", "[CALL]").replace("</tool_call>", "[/CALL]"))
    words.response_template = {
        "defaults": {"role": "assistant"},
        "start_anchor": "<|im_start|>assistant\n",
        "fields": {
            "tool_calls": {"open_pattern": r"\s*\[CALL\]", "close": "[/CALL]", "repeats": True, "content": "json",
                           "transform": {"type": "function", "function": "{content}"}},
            "content": {"close": "<|im_end|>", "content": "text"},
        },
    }  # fmt: skip
    ToolChat(words).check(TOOLS, STOP)
    prompt = ToolChat(words).prompt([{"role": "user", "content": "?"}], TOOLS)
    written = "Hm. " + call("add", left=1).replace("<tool_call>", "[CALL]").replace("</tool_call>", "[/CALL]")
    ids = words(written + "<|im_end|>", add_special_tokens=False)["input_ids"]
    reply = parse_reply(words, prompt, ids, STOP, TOOLS)
    assert [(each.name, each.arguments) for each in reply.calls] == [("add", {"left": 1})]
    assert reply.message["content"] == "Hm."
    ids = words("[CALL]{]<|im_end|>", add_special_tokens=False)["input_ids"]
    (failed,) = parse_reply(words, prompt, ids, STOP, TOOLS).calls
    assert "cannot be read" in failed.problem


def test_the_template_of_the_demo_calls_tools():
    """What the demo's model was shown in training is what is read."""
    words = AutoTokenizer.from_pretrained(demo.path("model"))
    (row,) = demo.load("tools").to_list()[:1]
    chat = ToolChat(words)
    chat.check(row["tools"], frozenset({words.eos_token_id}))
    asked, called, answered, said = without_none(row["messages"])
    prompt = chat.prompt([asked], row["tools"])
    written = words("<tool_call>" + json.dumps(called["tool_calls"][0]["function"]) + "</tool_call><|im_end|>")[
        "input_ids"
    ]
    reply = parse_reply(words, prompt, written, frozenset({words.eos_token_id}), row["tools"])
    between = chat.between(reply.calls, [answered["content"]], row["tools"], frozenset({words.eos_token_id}))
    last = words(said["content"] + "<|im_end|>\n")["input_ids"]
    shown = ChatRenderer(words).render(without_none(row["messages"]), row["tools"]).text
    assert words.decode(prompt + written + between + last) == shown
