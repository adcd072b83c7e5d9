"""Problems -> the rows of every data set of the demo. Pure Python and a seed: the same rows on every machine."""

from collections.abc import Iterator
from random import Random
from typing import Any

from .tasks import Problem, problems, slip

WORKED_SHARE = 0.35
"""How many demonstrations show their steps. The others are terse, so the trained model answers most questions at once
and often wrongly, while a sample now and then works the answer out: that is what preferences and rewards can teach."""

SYSTEM = "End with a line that holds only the answer."
CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Evaluates an arithmetic expression.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string", "description": "for example 12+7"}},
            "required": ["expression"],
        },
    },
}

Row = dict[str, Any]


def user(text: str) -> list[Row]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[Row]:
    return [{"role": "assistant", "content": text}]


def reply(rng: Random, problem: Problem) -> str:
    """A demonstration: right, and terse more often than not."""
    return problem.worked if rng.random() < WORKED_SHARE else problem.answer


def statement(rng: Random, problem: Problem) -> str:
    """The problem as running text, the form of the pretraining corpus: mostly worked, mostly as a question."""
    if rng.random() < 0.2:
        return f"{problem.key} = {problem.answer}"
    return f"{problem.question if rng.random() < 0.7 else problem.key}\n{problem.worked}"


def mistaken(rng: Random, problem: Problem) -> tuple[list[str], list[bool]]:
    """A worked reply that goes wrong at one step and ends there with a wrong answer; a label per line."""
    at = rng.randrange(len(problem.steps))
    lines = [*problem.steps[:at], slip(rng, problem.steps[at]), slip(rng, problem.answer)]
    return lines, [True] * at + [False, False]


def rejected(rng: Random, problem: Problem) -> str:
    """A worse reply than the worked one: without steps (right or wrong), or with a mistake in them."""
    kind = rng.choice(["terse", "terse", "terse and wrong", "mistaken"])
    if kind == "mistaken":
        return "\n".join(mistaken(rng, problem)[0])
    return problem.answer if kind == "terse" else slip(rng, problem.answer)


def messages(rng: Random, problem: Problem) -> Row:
    system = [{"role": "system", "content": SYSTEM}] if rng.random() < 0.2 else []
    return {"messages": system + user(problem.question) + assistant(reply(rng, problem))}


def tools(rng: Random, problem: Problem) -> Row:
    a, b = rng.randint(100, 999), rng.randint(2, 99)
    operator, result = rng.choice([("+", a + b), ("-", a - b), ("*", a * b)])
    expression = f"{a}{operator}{b}"
    call = {"type": "function", "function": {"name": "calculator", "arguments": {"expression": expression}}}
    return {
        "messages": [
            *user(f"Use the calculator: what is {a} {operator} {b}?"),
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "name": "calculator", "content": str(result)},
            *assistant(str(result)),
        ],
        "tools": [CALCULATOR],
    }


def preference(rng: Random, problem: Problem) -> Row:
    return {"prompt": problem.question + "\n", "chosen": problem.worked, "rejected": rejected(rng, problem)}


def unpaired(rng: Random, problem: Problem) -> Row:
    label = rng.random() < 0.5
    completion = problem.worked if label else rejected(rng, problem)
    return {"prompt": problem.question + "\n", "completion": completion, "label": label}


def stepwise(rng: Random, problem: Problem) -> Row:
    lines, labels = [*problem.steps, problem.answer], [True] * (len(problem.steps) + 1)
    if rng.random() < 0.5:
        lines, labels = mistaken(rng, problem)
    return {"prompt": problem.question, "completions": lines, "labels": labels}


def prompt(rng: Random, problem: Problem) -> Row:
    return {"prompt": problem.question + "\n", "answer": problem.answer, "task": problem.task}


def text(rng: Random, problem: Problem) -> Row:
    return {"text": statement(rng, problem)}


def prompt_completion(rng: Random, problem: Problem) -> Row:
    return {"prompt": problem.question + "\n", "completion": reply(rng, problem)}


def conversational(row: Row) -> Row:
    """The same row with lists of messages instead of strings."""
    return {
        column: user(value.strip()) if column == "prompt"
        else assistant(value) if column in ("completion", "chosen", "rejected")
        else value
        for column, value in row.items()
    }  # fmt: skip


def implicit(row: Row) -> Row:
    """The same preference without a prompt column: both replies begin with the prompt."""
    return {"chosen": row["prompt"] + row["chosen"], "rejected": row["prompt"] + row["rejected"]}


def datasets(seed: int = 0) -> Iterator[tuple[str, list[Row]]]:
    """Name and rows of every data set; each has a generator of its own, so that adding one changes no other."""

    def draw(name: str, make: Any, count: int, held_out: bool = False) -> list[Row]:
        rng = Random(f"{seed} {name}")
        rows: list[Row] = []
        seen: set[str] = set()
        for problem in problems(rng, held_out=held_out):
            if len(rows) == count:
                return rows
            if held_out and problem.key in seen:
                continue
            seen.add(problem.key)
            rows.append(make(rng, problem))
        raise AssertionError

    yield "text", draw("text", text, 400)
    yield "messages", draw("messages", messages, 1600)
    yield "tools", draw("tools", tools, 200)
    for name, make, count in [
        ("prompt_completion", prompt_completion, 400),
        ("preference", preference, 1200),
        ("unpaired", unpaired, 400),
        ("prompts", prompt, 1000),
    ]:
        rows = draw(name, make, count)
        yield name, rows
        yield f"{name}_messages", [conversational(row) for row in rows]
        if name == "preference":
            yield "preference_implicit", [implicit(row) for row in rows]
            yield "preference_implicit_messages", [implicit(conversational(row)) for row in rows]
    yield "stepwise", draw("stepwise", stepwise, 400)
    for name, make in [("held_out", prompt), ("held_out_preference", preference)]:
        yield name, [conversational(row) for row in draw(name, make, 240, held_out=True)]
