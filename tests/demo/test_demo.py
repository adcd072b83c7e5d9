"""The demo's model and tokenizer as shipped."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sternpost import demo

MIB = 2**20


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(demo.path())


def test_everything_fits_into_8_mib():
    """Weights, tokenizer and data together."""
    files = [file for file in demo.ASSETS.rglob("*") if file.is_file()]
    assert 1 * MIB < sum(file.stat().st_size for file in files) <= 8 * MIB


def test_importing_the_demo_loads_no_library():
    """`sternpost.demo` costs nothing until a data set or a model is asked for."""
    code = "import sys; from sternpost import demo; demo.path(); demo.datasets(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "datasets", "numpy"} & set(done.stdout.split())


def test_the_model_loads_as_what_it_was_trained_in():
    """A Qwen3 decoder in fp32 that knows its end token and its padding."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(demo.path())
    assert model.config.model_type == "qwen3"
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert 1e6 < model.num_parameters() < 3e6
    assert model.config.eos_token_id != model.config.pad_token_id
    assert {file.suffix for file in Path(demo.path()).iterdir()} == {".json", ".jinja", ".safetensors"}


@given(st.text())
def test_the_tokenizer_gives_every_text_back(text):
    """Byte-level: no text is lost, whatever its script."""
    from transformers import AutoTokenizer

    tokenizer = test_the_tokenizer_gives_every_text_back.__dict__.setdefault(
        "tokenizer", AutoTokenizer.from_pretrained(demo.path())
    )
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_digits_are_tokens_of_their_own(tokenizer):
    """The model sees a number digit by digit, wherever it stands."""
    assert tokenizer.tokenize("347+1024") == [*"347", "+", *"1024"]
    assert [token for token in tokenizer.tokenize("Add 86, 75 and 9.") if token.isdigit()] == [*"86759"]


def test_end_and_padding_are_single_distinct_tokens(tokenizer):
    """The end of a turn ends generation, and padding is never taken for it."""
    assert tokenizer.eos_token_id != tokenizer.pad_token_id
    assert tokenizer("<|im_end|>")["input_ids"] == [tokenizer.eos_token_id]


TOOL_CALL = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": "1+2"}}}
CONVERSATIONS = {
    "one turn": [("user", "Hi"), ("assistant", "Hello.\n3")],
    "system and two turns": [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
    "tool": [("user", "a"), ("assistant", [TOOL_CALL]), ("tool", "3"), ("assistant", "3")],
}


def conversation(name: str) -> list[dict]:
    return [
        {"role": role, "content": ""} | ({"tool_calls": said} if isinstance(said, list) else {"content": said})
        for role, said in CONVERSATIONS[name]
    ]


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_generated_spans_are_the_replies_with_their_end_tokens(name, tokenizer):
    """The assistant mask covers each reply and its end token, and nothing else."""
    encoded = tokenizer.apply_chat_template(
        conversation(name), return_dict=True, return_assistant_tokens_mask=True, tools=[TOOL_CALL]
    )
    ids, mask = encoded["input_ids"], encoded["assistant_masks"]
    spans = tokenizer.decode([token for token, generated in zip(ids, mask, strict=True) if generated])
    call = '<tool_call>{"name": "calculator", "arguments": {"expression": "1+2"}}</tool_call>'
    replies = [call if isinstance(said, list) else said for role, said in CONVERSATIONS[name] if role == "assistant"]
    assert spans == "".join(f"{reply}<|im_end|>" for reply in replies)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_longer_conversation_begins_with_the_shorter_one(name, tokenizer):
    """Rendering is prefix-preserving, and the generation prompt is what comes before each reply."""
    messages = conversation(name)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    for end, message in enumerate(messages):
        if message["role"] == "assistant":
            prompt = tokenizer.apply_chat_template(messages[:end], tokenize=False, add_generation_prompt=True)
            assert whole.startswith(prompt)
            assert prompt.endswith("<|im_start|>assistant\n")


def test_contents_given_in_parts_render_as_text(tokenizer):
    """A list of text parts is the same as the text, and a missing content is empty."""
    parts = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    plain = [{"role": "user", "content": "ab"}]
    assert tokenizer.apply_chat_template(parts, tokenize=False) == tokenizer.apply_chat_template(plain, tokenize=False)
    empty = tokenizer.apply_chat_template([{"role": "user", "content": None}], tokenize=False)
    assert empty == "<|im_start|>user\n<|im_end|>\n"


def test_a_generated_tool_call_is_parsed(tokenizer):
    """What the template writes, `parse_response` reads."""
    messages = conversation("tool")
    prompt = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    reply = tokenizer.apply_chat_template(messages[:2], tokenize=False)[len(prompt) :]
    assert tokenizer.parse_response(reply, prefix=prompt)["tool_calls"] == [TOOL_CALL]
