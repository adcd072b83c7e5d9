"""Rows in every format that the libraries accept, with lengths that differ."""

import json
import random
from collections.abc import Callable
from typing import Any

from .models import TEXT, sentence, tokenizer

COUNT = 12
Rows = list[dict[str, Any]]


def lengths(draw: random.Random) -> tuple[int, int]:
    return draw.randint(2, 9), draw.randint(2, 14)


def text(draw: random.Random) -> dict[str, Any]:
    return {"text": sentence(draw, sum(lengths(draw)))}


def prompt_completion(draw: random.Random) -> dict[str, Any]:
    asked, answered = lengths(draw)
    return {"prompt": sentence(draw, asked), "completion": " " + sentence(draw, answered)}


def prompt_completion_merging(draw: random.Random) -> dict[str, Any]:
    """The prompt ends inside a word that the tokenizer knows as one token."""
    asked, answered = lengths(draw)
    return {"prompt": sentence(draw, asked) + " stern", "completion": "post " + sentence(draw, answered)}


def turn(draw: random.Random) -> list[dict[str, str]]:
    asked, answered = lengths(draw)
    return [
        {"role": "user", "content": sentence(draw, asked)},
        {"role": "assistant", "content": sentence(draw, answered)},
    ]


def messages(draw: random.Random) -> dict[str, Any]:
    system = [{"role": "system", "content": sentence(draw, 3)}] if draw.random() < 0.5 else []
    return {"messages": system + turn(draw) + (turn(draw) if draw.random() < 0.5 else [])}


def prompt_completion_chat(draw: random.Random) -> dict[str, Any]:
    chat = messages(draw)["messages"]
    return {"prompt": chat[:-1], "completion": chat[-1:]}


TOOL = {
    "type": "function",
    "function": {
        "name": "wind",
        "description": "Wind at a place",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}


def tools(draw: random.Random) -> dict[str, Any]:
    asked, answered = lengths(draw)
    call = {"type": "function", "function": {"name": "wind", "arguments": {"place": sentence(draw, 1)}}}
    chat = [
        {"role": "user", "content": sentence(draw, asked)},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "wind", "content": sentence(draw, 2)},
        {"role": "assistant", "content": sentence(draw, answered)},
    ]
    return {"messages": chat, "tools": [TOOL]}


def conversations(draw: random.Random) -> dict[str, Any]:
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    chat = messages(draw)["messages"]
    return {"conversations": [{"from": names[m["role"]], "value": m["content"]} for m in chat]}


def conversations_chatml(draw: random.Random) -> dict[str, Any]:
    return {"conversations": [{"from": m["role"], "value": m["content"]} for m in messages(draw)["messages"]]}


def ids(draw: random.Random) -> list[int]:
    return tokenizer()(text(draw)["text"])["input_ids"]


def tokenized(draw: random.Random) -> dict[str, Any]:
    return {"input_ids": ids(draw)}


def tokenized_labels(draw: random.Random) -> dict[str, Any]:
    tokens = ids(draw)
    return {"input_ids": tokens, "labels": [token if draw.random() < 0.6 else -100 for token in tokens]}


def tokenized_completion(draw: random.Random) -> dict[str, Any]:
    tokens = ids(draw)
    prompt = draw.randint(1, len(tokens) - 2)
    return {"input_ids": tokens, "completion_mask": [0] * prompt + [1] * (len(tokens) - prompt)}


def tokenized_assistant(draw: random.Random) -> dict[str, Any]:
    tokens = ids(draw)
    mask = [int(draw.random() < 0.5) for _ in tokens]
    return {"input_ids": tokens, "assistant_masks": [*mask[:-1], 1]}


# ---- Pairs of answers


def pair(draw: random.Random) -> dict[str, Any]:
    """Text. Both answers begin with other words, so that the prompt is the same with and without a column for it."""
    first, second = draw.sample(TEXT.split(), 2)
    asked, _ = lengths(draw)
    return {
        "prompt": sentence(draw, asked),
        "chosen": f" {first} {sentence(draw, lengths(draw)[1])}",
        "rejected": f" {second} {sentence(draw, lengths(draw)[1])}",
    }


def pair_implicit(draw: random.Random) -> dict[str, Any]:
    row = pair(draw)
    return {name: row["prompt"] + row[name] for name in ("chosen", "rejected")}


def pair_merging(draw: random.Random) -> dict[str, Any]:
    """The prompt ends inside a word that the tokenizer knows as one token with what one or both answers begin with."""
    row = pair(draw)
    word = draw.choice(["post", "s", " rudder"])
    return {
        "prompt": row["prompt"] + " stern",
        "chosen": "post" + row["chosen"],
        "rejected": word + row["rejected"],
    }


def pair_chat(draw: random.Random) -> dict[str, Any]:
    prompt = messages(draw)["messages"][:-1]
    return {"prompt": prompt, "chosen": turn(draw)[-1:], "rejected": turn(draw)[-1:]}


def pair_chat_implicit(draw: random.Random) -> dict[str, Any]:
    row = pair_chat(draw)
    return {name: row["prompt"] + row[name] for name in ("chosen", "rejected")}


def pair_turns(draw: random.Random) -> dict[str, Any]:
    """Answers of several turns, one of which begins like the other."""
    row = pair_chat(draw)
    return row | {"chosen": row["chosen"] + turn(draw), "rejected": row["chosen"] + turn(draw)}


def pair_tools(draw: random.Random) -> dict[str, Any]:
    row = tools(draw)
    return {
        "prompt": row["messages"][:1],
        "chosen": row["messages"][1:],
        "rejected": [{"role": "assistant", "content": sentence(draw, lengths(draw)[1])}],
        "tools": row["tools"],
    }


def pair_tools_text(draw: random.Random) -> dict[str, Any]:
    """Tools as JSON."""
    row = pair_tools(draw)
    return row | {"tools": json.dumps(row["tools"])}


def pair_options(draw: random.Random) -> dict[str, Any]:
    """Each row has values of its own for the chat template."""
    return pair_chat(draw) | {"chat_template_kwargs": {"manner": draw.choice(TEXT.split())}}


def pair_margin(draw: random.Random) -> dict[str, Any]:
    return pair(draw) | {"margin": draw.uniform(-1, 2)}


def pair_tokenized(draw: random.Random) -> dict[str, Any]:
    """Sequences that share some tokens, or none."""
    shared = ids(draw) if draw.random() < 0.7 else []
    return {"chosen_ids": shared + ids(draw), "rejected_ids": shared + ids(draw)}


FORMATS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    made.__name__: made
    for made in (
        text,
        prompt_completion,
        prompt_completion_merging,
        prompt_completion_chat,
        messages,
        tools,
        conversations,
        conversations_chatml,
        tokenized,
        tokenized_labels,
        tokenized_completion,
        tokenized_assistant,
        pair,
        pair_implicit,
        pair_merging,
        pair_chat,
        pair_chat_implicit,
        pair_turns,
        pair_tools,
        pair_tools_text,
        pair_options,
        pair_margin,
        pair_tokenized,
    )
}


def build(name: str) -> Rows:
    """The same `COUNT` rows of a format on every call."""
    draw = random.Random(1)
    return [FORMATS[name](draw) for _ in range(COUNT)]
