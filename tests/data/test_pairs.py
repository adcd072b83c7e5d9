"""Where prompts end and answers begin, in tokens: straddling tokens, begin and end tokens, implicit prompts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors

from sternpost.data.pairs import Pair, PairEncoder, differ, shared_messages
from sternpost.data.rows import RowBatch

from .. import tiny

END = "<|im_end|>"
ASK, MORE = {"role": "user", "content": "what stands still"}, {"role": "user", "content": "and then"}
GOOD, BAD = {"role": "assistant", "content": "the sternpost"}, {"role": "assistant", "content": "the ship"}
TEXT = st.text(alphabet="ab the sternpost\n 🙂é中", max_size=12)


def rows_of(*rows: dict) -> RowBatch:
    return RowBatch({column: [row[column] for row in rows] for column in rows[0]}, range(len(rows)), "train")


def encode(row: dict, tokenizer=None, end: str | None = END) -> Pair:
    tokenizer = tokenizer or tiny.tokenizer()
    end_token = None if end is None else tokenizer.convert_tokens_to_ids(end)
    (pair,) = PairEncoder(tokenizer, end_token)(rows_of(row))
    return pair


def texts(pair: Pair) -> tuple[str, ...]:
    return tuple(tiny.tokenizer().decode(ids) for ids in (pair.prompt, pair.chosen, pair.rejected))


def beginning(ending: bool = False):
    """A tokenizer that puts a token before every text, and perhaps one behind it."""
    tokenizer = tiny.tokenizer()
    start, end = (tokenizer.convert_tokens_to_ids(token) for token in ("<|endoftext|>", END))
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"<|endoftext|> $A {END}" if ending else "<|endoftext|> $A",
        special_tokens=[("<|endoftext|>", start), (END, end)],
    )
    return tokenizer


# ---- Text


@given(prompt=TEXT, chosen=TEXT, rejected=TEXT)
def test_pieces_are_the_tokens_of_the_whole(prompt, chosen, rejected):
    """Prompt and answer are together what the tokenizer makes of the whole text, ended, whatever the boundary is."""
    pair = encode({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    for answer, ids in ((chosen, pair.chosen), (rejected, pair.rejected)):
        whole = tiny.tokenizer()(prompt + answer)["input_ids"]
        assert [*pair.prompt, *ids] == [*whole, tiny.tokenizer().eos_token_id]
    assert tiny.tokenizer()(prompt)["input_ids"][: len(pair.prompt)] == list(pair.prompt)


def test_answers_keep_their_own_beginning():
    """What both answers begin with is part of the answers, not of the prompt that the row gives."""
    pair = encode({"prompt": "the", "chosen": " ship stands", "rejected": " ship can"})
    assert texts(pair) == ("the", " ship stands" + END, " ship can" + END)


def test_token_across_the_boundary_belongs_to_the_answer():
    """A token that holds the end of the prompt and the start of an answer is learned."""
    tokenizer = tiny.tokenizer()
    assert len(tokenizer("sternpost")["input_ids"]) < len(tokenizer("stern")["input_ids"]) + 4
    pair = encode({"prompt": "the stern", "chosen": "post", "rejected": " one"})
    assert texts(pair)[0] == "the"
    assert texts(pair)[1:] == (" sternpost" + END, " stern one" + END)


def test_texts_are_ended_once():
    """An end token that is there already is not added again; without one nothing is added."""
    row = {"prompt": "the", "chosen": " ship", "rejected": " ship" + END}
    pair = encode(row)
    assert pair.chosen == pair.rejected
    assert pair.chosen.count(tiny.tokenizer().eos_token_id) == 1
    assert texts(encode(row, end=None)) == ("the", " ship", " ship" + END)


def test_tokenizer_that_ends_texts_itself():
    """The end token of the tokenizer is the end of the text."""
    tokenizer = beginning(ending=True)
    pair = encode({"prompt": "the", "chosen": " ship", "rejected": ""}, tokenizer)
    assert texts(pair) == ("<|endoftext|>the", " ship" + END, END)


def test_begin_token_is_part_of_the_prompt():
    """A token that the tokenizer puts before a text stands once, before the prompt, also before an empty one."""
    tokenizer = beginning()
    assert texts(encode({"prompt": "the", "chosen": " ship", "rejected": " rest"}, tokenizer))[0] == "<|endoftext|>the"
    assert texts(encode({"prompt": "", "chosen": "a ship", "rejected": "a rest"}, tokenizer)) == (
        "<|endoftext|>",
        "a ship" + END,
        "a rest" + END,
    )


@pytest.mark.parametrize("tokenizer", [tiny.tokenizer, beginning])
def test_implicit_prompt_of_text(tokenizer):
    """Without a prompt it is the tokens that both texts begin with, whatever the tokenizer puts before them."""
    pair = encode({"chosen": "the ship stands", "rejected": "the ship can steer"}, tokenizer())
    assert texts(pair)[0].removeprefix("<|endoftext|>") == "the ship"
    assert texts(pair)[1:] == (" stands" + END, " can steer" + END)
    nothing = encode({"chosen": "ship", "rejected": "the ship"}, tokenizer())
    assert texts(nothing)[0] == texts(encode({"chosen": "x", "rejected": "y"}, tokenizer()))[0]


def test_one_text_that_goes_on():
    """A text that ends where the other one goes on has the end token for an answer."""
    pair = encode({"chosen": "the ship", "rejected": "the ship stands"})
    assert texts(pair) == ("the ship", END, " stands" + END)


# ---- Conversations


def test_conversations_are_ended_by_their_template():
    """No end token is added to what a template has rendered, and special tokens are not added before it."""
    pair = encode({"prompt": [ASK], "chosen": [GOOD], "rejected": [BAD]}, beginning())
    asked = "<|im_start|>user\nwhat stands still<|im_end|>\n<|im_start|>assistant\n"
    assert texts(pair) == (asked, f"the sternpost{END}\n", f"the ship{END}\n")


def test_implicit_prompt_of_conversations():
    """The messages that both begin with; what the first different answers begin with stays part of them."""
    explicit = encode({"prompt": [ASK, GOOD, MORE], "chosen": [GOOD], "rejected": [BAD]})
    assert encode({"chosen": [ASK, GOOD, MORE, GOOD], "rejected": [ASK, GOOD, MORE, BAD]}) == explicit
    assert texts(explicit)[1:] == (f"the sternpost{END}\n", f"the ship{END}\n")


def test_conversations_that_part_early():
    """Answers may be several messages, of different number."""
    pair = encode({"chosen": [ASK, GOOD, MORE, BAD], "rejected": [ASK, BAD]})
    assert texts(pair)[1].startswith(f"the sternpost{END}\n<|im_start|>user\nand then")
    assert texts(pair)[2] == f"the ship{END}\n"


def test_prompt_that_the_answer_continues():
    """A prompt that ends with the assistant is left open; the answer closes it."""
    opened = {"role": "assistant", "content": "well:"}
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}"
        "{% if m.role == 'assistant' %}{{ m.content }}{% else %}[{{ m.content }}]{% endif %}{% endfor %}"
    )
    pair = encode({"prompt": [ASK, opened], "chosen": [GOOD], "rejected": [BAD]}, tokenizer)
    assert texts(pair) == ("[what stands still]well:", "the sternpost", "the ship")


@pytest.mark.parametrize("column", ["chosen", "rejected"])
def test_template_that_drops_what_was_thought(column):
    """A template that shows the prompt differently with one of the answers is refused for the column it happens in."""
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{{ 'short' if messages[-1].content == 'the ship' else 'long' }}" + tiny.CHAT_TEMPLATE
    good, bad = (GOOD, BAD) if column == "rejected" else (BAD, GOOD)
    message = f"column `{column}`: the chat template fails with ValueError: the prompt alone is not the beginning"
    with pytest.raises(ValueError, match=message):
        encode({"prompt": [ASK], "chosen": [good], "rejected": [bad]}, tokenizer)


def test_rows_of_a_batch_do_not_mix():
    """Every row of a batch is encoded as it is alone."""
    drawn = random.Random(0)
    rows = [{name: tiny.text(drawn, 9) for name in ("prompt", "chosen", "rejected")} for _ in range(20)]
    assert PairEncoder(tiny.tokenizer(), None)(rows_of(*rows)) == [encode(row, end=None) for row in rows]


# ---- Parts


@pytest.mark.parametrize(
    ("chosen", "rejected", "count"),
    [
        ([ASK, GOOD], [ASK, BAD], 1),
        ([ASK, GOOD, MORE, GOOD], [ASK, GOOD, MORE, BAD], 3),
        ([ASK, GOOD], [ASK, GOOD], 1),
        ([ASK, GOOD, MORE], [ASK, BAD, MORE], 1),
    ],
)
def test_shared_messages(chosen, rejected, count):
    """As many as are equal from the start, and never the last answer."""
    row = rows_of({"chosen": chosen, "rejected": rejected})
    assert shared_messages(row, 0, chosen, rejected) == chosen[:count]


@pytest.mark.parametrize(
    ("left", "right", "room", "expected"),
    [
        ([1, 2], [1, 2], None, False),
        ([1, 2], [1, 3], None, True),
        ([1, 2], [1, 3], 1, False),
        ([1, 2], [1], None, True),
        ([1, 2], [1], 1, False),
        ([], [], 5, False),
        ([], [1], 5, True),
        ([], [1], 0, False),
    ],
)
def test_differ(left, right, room, expected):
    """Answers differ by a token, or by their length, within the room they have."""
    assert differ(left, right, room) is expected
