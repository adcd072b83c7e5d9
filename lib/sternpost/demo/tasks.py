"""Eight small tasks whose answers can be checked: a seeded random generator -> `Problem`.

Every problem has a terse form (its answer) and a worked form (a few steps, then the answer). A problem whose key falls
into the held-out fifth is never used for training, neither in the pretraining corpus nor in any training data set.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits

WORDS = (Path(__file__).parent / "words.txt").read_text("utf-8").split()
NAMES = ["Ann", "Ben", "Eva", "Ida", "Kim", "Leo", "Mia", "Sam"]
THINGS = ["apples", "books", "coins", "eggs", "pears", "pens", "shells", "stones"]


@dataclass(frozen=True)
class Problem:
    """One problem: `key` is its form in running text, `question` its form in a conversation."""

    task: str
    key: str
    question: str
    steps: tuple[str, ...]
    answer: str

    @property
    def worked(self) -> str:
        """The reply that shows its steps; like every reply it ends with a line that holds only the answer."""
        return "\n".join([*self.steps, self.answer])

    @property
    def held_out(self) -> bool:
        """Whether the problem is kept for evaluation (one in five, decided by its key alone)."""
        return zlib.crc32(self.key.encode()) % 5 == 0


def add(rng: Random) -> Problem:
    """Addition of two numbers of three digits, worked column by column from the right."""
    a, b = rng.randint(100, 999), rng.randint(100, 999)
    steps, carry, x, y = [], 0, a, b
    while x or y:
        total = x % 10 + y % 10 + carry
        steps.append(f"{x % 10}+{y % 10}{'+1' if carry else ''}={total}")
        x, y, carry = x // 10, y // 10, total // 10
    question = rng.choice(["What is {} + {}?", "Add {} and {}.", "How much is {} plus {}?"]).format(a, b)
    return Problem("add", f"{a}+{b}", question, tuple(steps), str(a + b))


def total(rng: Random) -> Problem:
    """The sum of four numbers, worked as a running total."""
    numbers = [rng.randint(2, 19) for _ in range(4)]
    steps, running = [], numbers[0]
    for number in numbers[1:]:
        steps.append(f"{running}+{number}={running + number}")
        running += number
    listed = ", ".join(map(str, numbers))
    question = rng.choice(["Add up {}.", "What is the total of {}?", "Sum these: {}."]).format(listed)
    return Problem("total", f"total {listed}", question, tuple(steps), str(running))


def story(rng: Random) -> Problem:
    """A word problem of two operations."""
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    bags, each, more = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9)
    have = bags * each
    if rng.random() < 0.5:
        change, last = f"finds {more} more", f"{have}+{more}={have + more}"
        answer = have + more
    else:
        more = min(more, have - 1)
        change, last = f"gives away {more}", f"{have}-{more}={have - more}"
        answer = have - more
    text = f"{name} has {bags} bags of {each} {thing} and {change}."
    question = f"{text} How many {thing} does {name} have{rng.choice([' now', ''])}?"
    return Problem("story", text, question, (f"{bags}*{each}={have}", last), str(answer))


def largest(rng: Random) -> Problem:
    """The largest of four numbers, worked by comparing the best so far with the next."""
    numbers = rng.sample(range(10, 100), 4)
    steps, best = [], numbers[0]
    for number in numbers[1:]:
        steps.append(f"{best}{'>' if best > number else '<'}{number}")
        best = max(best, number)
    listed = ", ".join(map(str, numbers))
    question = rng.choice(["Which is the largest of {}?", "Find the biggest number: {}.", "Give the maximum of {}."])
    return Problem("largest", f"largest {listed}", question.format(listed), tuple(steps), str(best))


def order(rng: Random) -> Problem:
    """Sorting of four numbers, worked by taking the smallest of what is left."""
    numbers = rng.sample(range(10, 100), 4)
    ordered = sorted(numbers)
    listed = ", ".join(map(str, numbers))
    steps = (f"{'<'.join(map(str, ordered))}",)
    question = rng.choice(["Sort {}.", "Put these in order: {}.", "Arrange {} from small to large."]).format(listed)
    return Problem("order", f"sorted {listed}", question, steps, ", ".join(map(str, ordered)))


def reverse(rng: Random) -> Problem:
    """The letters of a word, last to first; worked by spelling the word."""
    word = rng.choice(WORDS)
    question = rng.choice(["Spell {} backwards.", "Reverse the letters of {}.", "Write {} from back to front."])
    return Problem("reverse", f"backwards {word}", question.format(word), (" ".join(word),), " ".join(reversed(word)))


def count(rng: Random) -> Problem:
    """How often a letter occurs in a word; worked by spelling the word and keeping the letter."""
    word = rng.choice(WORDS)
    letter = max(word, key=word.count) if rng.random() < 0.5 else rng.choice(word)
    times = word.count(letter)
    question = rng.choice(["How many letters {} are in {}?", "Count the letter {} in {}.", "How often is {} in {}?"])
    steps = (" ".join(word), " ".join(letter * times))
    return Problem("count", f"letter {letter} in {word}", question.format(letter, word), steps, str(times))


def upper(rng: Random) -> Problem:
    """A word in capitals; worked by spelling the word."""
    word = rng.choice(WORDS)
    question = rng.choice(["Write {} in capitals.", "Make {} uppercase.", "Change {} to capital letters."])
    steps = (" ".join(word), " ".join(word.upper()))
    return Problem("upper", f"capitals {word}", question.format(word), steps, word.upper())


TASKS: dict[str, Callable[[Random], Problem]] = {
    "add": add, "total": total, "story": story, "largest": largest,
    "order": order, "reverse": reverse, "count": count, "upper": upper,
}  # fmt: skip


def problems(rng: Random, *, held_out: bool = False) -> Iterator[Problem]:
    """Problems without end, the tasks in turn, all held out or none."""
    while True:
        for draw in TASKS.values():
            problem = draw(rng)
            while problem.held_out is not held_out:
                problem = draw(rng)
            yield problem


def slip(rng: Random, line: str) -> str:
    """The line with one mistake: a digit or letter changed into another of its kind, in the result if it has one."""
    start = line.rfind("=") + 1
    at = rng.choice([m.start() for m in re.finditer(r"[0-9A-Za-z]", line[start:])]) + start
    kind = next(kind for kind in (digits, ascii_lowercase, ascii_uppercase) if line[at] in kind)
    return line[:at] + rng.choice(kind.replace(line[at], "")) + line[at + 1 :]
