"""All rewards of a run as one object: completions in, `[N, K]` numbers out.

`reward_funcs` -> functions (run.py), models (models.py), environments that judge what happened in them -> a column each
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..data.splits import column_names
from ..generation.tools import Calls
from ..generation.trajectory import Trajectory
from .completions import Completion
from .models import RewardModel
from .notes import FIXED, Notes, all_columns, all_metrics
from .run import RewardFunction, Rewards, checked

logger = logging.getLogger(__name__)

Reward: TypeAlias = str | nn.Module | Callable[..., Any]

OURS = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric", "environments")
"""Names under which rewards are given what comes from us; columns of these names are not given."""


@dataclass(frozen=True)
class Judgement:
    """What the rewards say of N completions."""

    rewards: Float[Tensor, "N K"]
    """On the CPU; not-a-number where a reward says nothing of a completion."""
    names: list[str]
    """Of the K rewards."""
    columns: dict[str, list[Any]]
    """What rewards logged of each completion, by `log_extra`."""
    metrics: dict[str, float]
    """What they logged of the batch, by `log_metric`: on this rank, whose names other ranks may not have."""


class Judge:
    """Judges completions by functions, models and environments.

    Args:
        reward_funcs: One reward or several: a function `f(prompts, completions, completion_ids, **columns)`,
            synchronous or not, that returns a number or None for each completion; or a sequence-classification model
            with one label, loaded or as a path or an id.
        reward_processing_classes: The tokenizer of each reward that is a model, None for the others. By default the one
            published with the model.
        reward_weights: Weight of each of `reward_funcs`, by default 1.
        timeout: Seconds that reward functions may take for a batch; what comes later counts as not given.
        environments: The classes of the environments that completions take place in. Those with a method `get_reward()`
            are one more reward each, named after the class, of weight 1.
        calls: What calls `get_reward()`: as whatever calls their other methods does, in the same thread or event loop.
        trust_remote_code: Run code that comes with reward models. It is executed on this machine.

    Raises:
        ValueError: there is no reward, or weights or tokenizers do not fit to them.
        TypeError: something is no reward.
    """

    def __init__(
        self,
        reward_funcs: Reward | Sequence[Reward] | None,
        reward_processing_classes: Any = None,
        reward_weights: Sequence[float] | None = None,
        timeout: float | None = None,
        environments: Sequence[type] = (),
        trust_remote_code: bool = False,
        calls: Calls | None = None,
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise ValueError(f"`reward_timeout={timeout}` must be positive. Leave it out to wait for ever.")
        given = list(reward_funcs) if isinstance(reward_funcs, list | tuple) else [reward_funcs]
        given = [] if reward_funcs is None else given
        kinds = [kind for kind in dict.fromkeys(environments) if callable(getattr(kind, "get_reward", None))]
        judging = [EnvironmentReward(kind.__name__, kind, calls or Calls(timeout)) for kind in kinds]
        if not given and not judging:
            raise ValueError(
                "`reward_funcs` is empty, so that there is nothing to learn from. Pass at least one reward, or an "
                "environment with a method `get_reward()`."
            )
        self.weights = checked_weights(reward_weights, len(given), len(judging))
        tokenizers = as_list(reward_processing_classes, given)
        rewards: list[RewardFunction | RewardModel | EnvironmentReward] = [
            *(as_reward(*each, trust_remote_code) for each in zip(given, tokenizers, strict=True)),
            *judging,
        ]
        self.names = distinct([reward.name for reward in rewards], taken=FIXED)
        for reward, name in zip(rewards, self.names, strict=True):
            reward.name = name
        self.functions = {at: reward for at, reward in enumerate(rewards) if isinstance(reward, RewardFunction)}
        self.models = {at: reward for at, reward in enumerate(rewards) if isinstance(reward, RewardModel)}
        self.environments = {at: reward for at, reward in enumerate(rewards) if isinstance(reward, EnvironmentReward)}
        self.timeout, self.has_environments = timeout, bool(environments)
        self.hidden: set[str] = set()

    def to(self, device: torch.device | str) -> "Judge":
        """Move reward models, and compute there."""
        for model in self.models.values():
            model.to(device)
        return self

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raise a ValueError if a reward function asks for what rows with these columns do not have."""
        ours = [name for name in OURS if name != "environments" or self.has_environments]
        for function in self.functions.values():
            function.check([*ours, *(name for name in columns if name != "prompt")])

    def __call__(
        self,
        rows: Sequence[Mapping[str, Any]],
        trajectories: Sequence[Trajectory],
        completions: Sequence[Completion],
        trainer_state: Any = None,
    ) -> Judgement:
        """Judge the completion of each row, text or messages.

        Functions run side by side, while models and environments are asked one after the other in this thread.

        Raises:
            RuntimeError: a function raised.
            TypeError, ValueError: it returned something else than a number or None for each completion.
        """
        count = len(completions)
        prompts = [row["prompt"] for row in rows]
        places = [trajectory.environment for trajectory in trajectories]
        tools = [row.get("tools") for row in rows]
        notes = {function.name: Notes(count, self.names) for function in self.functions.values()}
        arguments = self.columns(rows, trajectories) | {
            "prompts": prompts,
            "completions": list(completions),
            "completion_ids": [list(trajectory.ids) for trajectory in trajectories],
            "trainer_state": trainer_state,
        }
        if self.has_environments:
            arguments["environments"] = places
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        calls = {
            at: function.start(arguments | notes[function.name].functions()) for at, function in self.functions.items()
        }
        found: dict[int, Rewards] = {at: model(prompts, completions, tools) for at, model in self.models.items()}
        found |= {at: environment(places) for at, environment in self.environments.items()}
        found |= {at: call.rewards(count, deadline, self.timeout) for at, call in calls.items()}
        table = [[math.nan if value is None else value for value in found[at]] for at in range(len(self.names))]
        rewards = torch.tensor(table, dtype=torch.float32).T.contiguous()
        return Judgement(rewards, self.names, all_columns(notes), all_metrics(notes))

    def columns(self, rows: Sequence[Mapping[str, Any]], trajectories: Sequence[Trajectory]) -> dict[str, list[Any]]:
        """What is known of each completion: the columns of the data set, and over them the fields of roll-outs."""
        told = [{**row, **trajectory.fields} for row, trajectory in zip(rows, trajectories, strict=True)]
        names = dict.fromkeys(name for each in told for name in each)
        hidden = {name for name in names if name in OURS} - self.hidden
        if hidden:
            self.hidden |= hidden
            logger.warning(
                "rewards are not given the columns %s: what comes from the trainer has these names. Rename them.",
                ", ".join(f"`{name}`" for name in sorted(hidden)),
            )
        return {name: [each.get(name) for each in told] for name in names if name not in (*OURS, "prompt")}


@dataclass
class EnvironmentReward:
    """What environments of a class say of what happened in them."""

    name: str
    kind: type
    calls: Calls

    def __call__(self, environments: Sequence[Any]) -> Rewards:
        """The reward that each gives; None where it is of another class, raises or takes too long, with a warning.

        Raises:
            RuntimeError: all raise.
        """
        judging = [at for at, environment in enumerate(environments) if type(environment) is self.kind]
        outcomes = [each for (each,) in self.calls.run([[environments[at].get_reward] for at in judging])]
        failed = {at: each.error for at, each in zip(judging, outcomes, strict=True) if each.error is not None}
        for at, error in failed.items():
            problem = f"`get_reward()` of the environment `{self.name}` failed with {type(error).__name__}: {error}"
            if len(failed) == len(judging) and not isinstance(error, TimeoutError):
                raise RuntimeError(f"{problem}. So did all others. Correct it.") from error
            logger.warning("%s; it counts as not given for completion %d.", problem, at)
        found = {at: each.value for at, each in zip(judging, outcomes, strict=True)}
        return checked(self.name, [found.get(at) for at in range(len(environments))], len(environments))


def check_reward_columns(judge: Judge, train_dataset: Any, eval_dataset: Any, only_prompts: bool) -> None:
    """Raise a ValueError if a reward asks for a column that a data set lacks, or that is removed (`only_prompts`)."""
    evaluated = eval_dataset if isinstance(eval_dataset, dict) else {"evaluation": eval_dataset}
    for name, rows in {"train": train_dataset, **evaluated}.items():
        if rows is not None:
            judge.check_columns(["prompt"] if only_prompts else column_names(rows, name))


def as_reward(reward: Any, tokenizer: Any, trust_remote_code: bool) -> RewardFunction | RewardModel:
    """A reward function or a reward model.

    Raises:
        TypeError: it is neither.
        ValueError: a function was given a tokenizer.
    """
    if isinstance(reward, str | nn.Module):
        return RewardModel.of(reward, tokenizer, trust_remote_code)
    if not callable(reward):
        raise TypeError(
            f"`reward_funcs` holds {reward!r} ({type(reward).__name__}). Pass functions, models, or paths of models."
        )
    function = RewardFunction.of(reward)
    if tokenizer is not None:
        raise ValueError(
            f"`reward_processing_classes` has a tokenizer for the reward function `{function.name}`, which does not "
            "need one. Put None in its place."
        )
    return function


def as_list(processing_classes: Any, rewards: Sequence[Any]) -> list[Any]:
    """One tokenizer or None for each reward.

    Raises:
        ValueError: there are more or fewer.
    """
    if processing_classes is None:
        return [None] * len(rewards)
    found = list(processing_classes) if isinstance(processing_classes, list | tuple) else [processing_classes]
    if len(found) != len(rewards):
        raise ValueError(
            f"`reward_processing_classes` has {len(found)} entries for {len(rewards)} `reward_funcs`. Give one for "
            "each, None for functions."
        )
    return found


def checked_weights(weights: Sequence[float] | None, given: int, environments: int) -> Float[Tensor, "K"]:
    """The weight of each reward.

    Raises:
        ValueError: there are more or fewer than rewards, or one is not finite.
    """
    if weights is not None:
        if len(weights) != given:
            raise ValueError(f"`reward_weights={list(weights)}` has {len(weights)} values for {given} `reward_funcs`.")
        if not all(map(math.isfinite, weights)):
            raise ValueError(f"`reward_weights={list(weights)}` must be finite numbers.")
    return torch.tensor([*(weights or [1.0] * given), *[1.0] * environments], dtype=torch.float32)


def distinct(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """The names, a second one of the same or of one that is taken with `_2` behind it, and so on, so that neither
    metrics nor columns mix."""
    found: list[str] = []
    for name in names:
        number, new = 1, name
        while new in (*found, *taken) or (number > 1 and new in names):
            number += 1
            new = f"{name}_{number}"
        found.append(new)
    return found
