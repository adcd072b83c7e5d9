"""A backend that says what a test tells it to."""

from collections.abc import Callable, Sequence
from typing import Any

from sternpost.generation.backend import Completion, Group, Sampling


class Scripted:
    """Calls `reply(prompt ids, which of the group) -> ids`; each token's log-probability is minus a hundredth of it.

    What it was asked is kept in `calls`, one list of groups per call.
    """

    def __init__(self, reply: Callable[[list[int], int], Sequence[int]]) -> None:
        self.reply = reply
        self.calls: list[list[Group]] = []
        self.samplings: list[Sampling] = []

    def sync(self, model: Any) -> None:
        """It has no weights."""

    def sample(self, groups: Sequence[Group], sampling: Sampling) -> list[list[Completion]]:
        self.calls.append(list(groups))
        self.samplings.append(sampling)
        return [[self.completion(group, member, sampling) for member in range(group.count)] for group in groups]

    def completion(self, group: Group, member: int, sampling: Sampling) -> Completion:
        ids: list[int] = []
        for token in self.reply(list(group.prompt), member)[: group.longest(sampling)]:
            ids.append(token)
            if token in sampling.stop:
                break
        return Completion(ids, [-token / 100 for token in ids], bool(ids) and ids[-1] in sampling.stop)
