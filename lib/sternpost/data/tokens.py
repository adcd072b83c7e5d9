"""Texts -> token ids, a batch at a time, and positions of characters -> positions of tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase


@dataclass
class Encoded:
    """The ids of some texts, and what is needed to find the token of a character."""

    tokenizer: PreTrainedTokenizerBase
    texts: Sequence[str]
    special_tokens: bool
    ids: list[list[int]]
    encodings: Sequence[Any] | None
    """One `tokenizers.Encoding` per text; None for tokenizers written in Python."""

    def first_token(self, at: int, character: int) -> int:
        """The first token of text `at` that ends after a character position; past the text, the first added to it."""
        if character >= len(self.texts[at]):
            return self.own_tokens(at)
        token = None if self.encodings is None else self.encodings[at].char_to_token(character)
        if token is not None:
            return token
        # No offsets, or none for this character: some tokenizers leave spaces out of them.
        return common_prefix(self.ids[at], self.encode_prefix(at, character))

    def tokens(self, at: int, start: int, end: int) -> tuple[int, int]:
        """The range of the tokens of text `at` that hold any of the characters from `start` up to `end`."""
        first = self.first_token(at, start)
        if end <= start:
            return first, first
        last = self.first_token(at, end)
        return first, last + self.straddles(at, last, end)

    def mask(self, at: int, spans: Iterable[tuple[int, int]]) -> np.ndarray:
        """True for the tokens of text `at` that hold a character of one of the spans."""
        mask = np.zeros(len(self.ids[at]), dtype=bool)
        for start, end in spans:
            mask[slice(*self.tokens(at, start, end))] = True
        return mask

    def straddles(self, at: int, token: int, character: int) -> bool:
        """Whether a token, the first one that ends after a character position, begins before it."""
        if token == len(self.ids[at]):
            return False
        if self.encodings is None:
            return len(self.encode_prefix(at, character)) > token
        characters = self.encodings[at].token_to_chars(token)
        return characters is not None and characters[0] < character

    def own_tokens(self, at: int) -> int:
        """How many tokens there are up to the end of text `at`, without what was added behind it."""
        if self.encodings is None:
            return len(self.encode_prefix(at, len(self.texts[at])))
        count = len(self.encodings[at])
        while count and self.encodings[at].token_to_sequence(count - 1) is None:
            count -= 1
        return count

    def encode_prefix(self, at: int, character: int) -> list[int]:
        return self.tokenizer(self.texts[at][:character], add_special_tokens=self.special_tokens)["input_ids"]


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], special_tokens: bool, positions: bool = False
) -> Encoded:
    """The ids of a batch of texts, by all cores, neither truncated nor padded.

    `special_tokens` adds those that the tokenizer puts around a text. `positions` keeps what `Encoded.tokens` needs.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        ids = tokenizer(list(texts), add_special_tokens=special_tokens)["input_ids"] if texts else []
        return Encoded(tokenizer, texts, special_tokens, ids, None)
    backend.no_truncation()
    backend.no_padding()
    encode_batch = backend.encode_batch if positions else backend.encode_batch_fast
    encodings = encode_batch(list(texts), add_special_tokens=special_tokens)
    ids = [encoding.ids for encoding in encodings]
    return Encoded(tokenizer, texts, special_tokens, ids, encodings if positions else None)


def end_token(tokenizer: PreTrainedTokenizerBase, token: str | None = None) -> int | None:
    """The id of the token that ends a text: `token`, else the tokenizer's own; None if it has none.

    Raises:
        ValueError: `token` is not in the vocabulary.
    """
    if token is None:
        return tokenizer.eos_token_id
    ending = tokenizer.get_vocab().get(token)
    if ending is None:
        raise ValueError(f"`eos_token={token!r}` is not in the vocabulary. Use a token that is, or add it first.")
    return ending


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many leading tokens two sequences share."""
    shortest = min(len(left), len(right))
    differs = np.asarray(left[:shortest]) != np.asarray(right[:shortest])
    return int(differs.argmax()) if differs.any() else shortest
