"""Tokens of characters: the right ones for any text, any tokenizer, with and without offsets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from sternpost.data.tokens import common_prefix, encode, end_token

from .. import tiny

TEXT = st.text(alphabet="ab the sternpost\n\t 🙂éñ中​́", max_size=30)


class WithoutOffsets:
    """A tokenizer written in Python, as far as `encode` uses one."""

    backend_tokenizer = None

    def __init__(self, fast):
        self.fast = fast

    def __call__(self, text, add_special_tokens):
        return self.fast(text, add_special_tokens=add_special_tokens)


def trimming() -> PreTrainedTokenizerFast:
    """A tokenizer whose offsets leave out the spaces around a word."""
    made = Tokenizer.from_str(tiny.trained_tokenizer())
    made.post_processor = processors.ByteLevel(trim_offsets=True)
    return PreTrainedTokenizerFast(tokenizer_object=made)


def overlapping(tokenizer, text: str, start: int, end: int) -> list[int]:
    """The tokens that hold a character of the span, looked up one character at a time."""
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return [token for token, (a, b) in enumerate(offsets) if set(range(a, b)) & set(range(start, end))]


@given(TEXT, st.data())
def test_tokens_of_a_span(text, data):
    """Exactly the tokens that hold a character of the span, also where a character is several tokens."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    tokenizer = tiny.tokenizer()
    encoded = encode(tokenizer, [text], special_tokens=False, positions=True)
    assert list(range(*encoded.tokens(0, start, end))) == overlapping(tokenizer, text, start, end)
    assert np.flatnonzero(encoded.mask(0, [(start, end)])).tolist() == overlapping(tokenizer, text, start, end)


@given(TEXT, st.data())
def test_first_token_without_offsets(text, data):
    """Without offsets, a boundary is where the tokens of the text and of its beginning part."""
    character = data.draw(st.integers(0, len(text)))
    tokenizer = tiny.tokenizer()
    encoded = encode(WithoutOffsets(tokenizer), [text], special_tokens=False, positions=True)
    beginning = tokenizer(text[:character])["input_ids"]
    whole = tokenizer(text)["input_ids"]
    if character == len(text):
        assert encoded.first_token(0, character) == len(whole)
    else:
        shared = encoded.first_token(0, character)
        assert whole[:shared] == beginning[:shared]
        assert whole[: shared + 1] != beginning[: shared + 1]


@given(st.lists(st.sampled_from(["the", "ship", "🙂", "\n"]), min_size=1, max_size=6), st.data())
def test_with_and_without_offsets_agree_between_words(words, data):
    """Where no token lies across a boundary, both ways of finding it give the same tokens."""
    cut = data.draw(st.integers(0, len(words)))
    text = "".join(f"<|im_start|>{word}" for word in words)
    start = sum(len("<|im_start|>") + len(word) for word in words[:cut])
    fast = encode(tiny.tokenizer(), [text], special_tokens=False, positions=True)
    slow = encode(WithoutOffsets(tiny.tokenizer()), [text], special_tokens=False, positions=True)
    assert fast.ids == slow.ids
    assert fast.tokens(0, start, len(text)) == slow.tokens(0, start, len(text))
    assert fast.tokens(0, 0, start) == slow.tokens(0, 0, start)


@given(st.text(alphabet="the ship ", max_size=20), st.data())
def test_trimmed_offsets_lose_no_token(text, data):
    """A tokenizer that leaves spaces out of its offsets gives the same boundaries as one that does not."""
    character = data.draw(st.integers(0, len(text)))
    plain = encode(tiny.tokenizer(), [text], special_tokens=False, positions=True)
    trimmed = encode(trimming(), [text], special_tokens=False, positions=True)
    assert trimmed.ids == plain.ids
    assert trimmed.first_token(0, character) == plain.first_token(0, character)


def test_special_tokens_around_a_text():
    """What the tokenizer puts before a text belongs to its beginning, what it puts behind to its end."""
    tokenizer = tiny.tokenizer()
    ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<|im_start|>", "<|im_end|>")]
    wrap = processors.TemplateProcessing(single="<|im_start|> $A <|im_end|>", special_tokens=ends)
    tokenizer.backend_tokenizer.post_processor = wrap
    encoded = encode(tokenizer, ["the ship"], special_tokens=True, positions=True)
    ids = encoded.ids[0]
    assert ids == tokenizer("the ship")["input_ids"]
    assert encoded.first_token(0, 0) == 1
    assert encoded.first_token(0, len("the ship")) == len(ids) - 1
    boundary = encoded.first_token(0, len("the"))
    assert tokenizer.decode(ids[boundary:]) == " ship<|im_end|>"


def test_stored_truncation_and_padding_are_not_applied():
    """A tokenizer that was saved with truncation or padding still gives all tokens of a text and no others."""
    tokenizer = tiny.tokenizer()
    expected = tokenizer(["the ship " * 20, "one"])["input_ids"]
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=4)
    assert encode(tokenizer, ["the ship " * 20, "one"], special_tokens=True).ids == expected


def test_no_texts():
    """An empty batch is no error."""
    assert encode(tiny.tokenizer(), [], special_tokens=True).ids == []
    assert encode(WithoutOffsets(tiny.tokenizer()), [], special_tokens=True).ids == []


def test_end_token():
    """The tokenizer's own end, or one that is asked for by name and exists."""
    tokenizer = tiny.tokenizer()
    assert end_token(tokenizer) == tokenizer.eos_token_id
    assert end_token(tokenizer, "<|endoftext|>") == tokenizer.convert_tokens_to_ids("<|endoftext|>")
    with pytest.raises(ValueError, match=r"`eos_token='<end>'` is not in the vocabulary"):
        end_token(tokenizer, "<end>")


@given(st.lists(st.integers(0, 2), max_size=5), st.lists(st.integers(0, 2), max_size=5))
def test_common_prefix(left, right):
    """The number of leading tokens that are the same."""
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert left[length : length + 1] != right[length : length + 1] or length == len(left) == len(right)
