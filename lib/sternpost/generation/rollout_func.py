"""What a user's own roll-out function returns -> trajectories.

`rollout_func(prompts, trainer)` gets the prompt of each row and returns a mapping with one entry for each prompt in

prompt_ids        tokens of the prompt
completion_ids    all tokens after it
logprobs          what the sampler says of each of these; the whole may be None
env_mask          (may be left out) 1 for tokens that the policy drew, 0 for those of tools and of the template
anything else     given to reward functions, by its name
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .trajectory import Trajectory

NEEDED = ("prompt_ids", "completion_ids", "logprobs")
TOKENS = ("prompt_ids", "completion_ids")


def from_rollout_func(result: Any, count: int, stop: frozenset[int] = frozenset()) -> list[Trajectory]:
    """The trajectories of `count` prompts; those that end with a token of `stop` are finished.

    Raises:
        TypeError: the result is no mapping, or a value in it is not of the kind that it should be.
        ValueError: something is missing in it, or has another length than it should have.
    """
    if not isinstance(result, Mapping):
        raise TypeError(
            f"`rollout_func` returned a {type(result).__name__}. Return a mapping with {', '.join(NEEDED)}."
        )
    missing = [name for name in NEEDED if name not in result]
    if missing:
        raise ValueError(
            f"`rollout_func` returned {', '.join(result) or 'nothing'} without {', '.join(missing)}. Return one entry "
            "for each prompt; `logprobs` may be None."
        )
    columns = {name: as_list(name, value, count) for name, value in result.items() if value is not None}
    for name in TOKENS:
        if name not in columns:
            raise TypeError(f"`rollout_func` returned None as `{name}`. Return the tokens.")
    unknown: list[None] = [None] * count
    prompts, completions = columns.pop("prompt_ids"), columns.pop("completion_ids")
    logps, masks = columns.pop("logprobs", unknown), columns.pop("env_mask", unknown)
    return [
        trajectory(at, *each, {name: values[at] for name, values in columns.items()}, stop)
        for at, each in enumerate(zip(prompts, completions, logps, masks, strict=True))
    ]


def trajectory(
    at: int, prompt: Any, ids: Any, logps: Any, mask: Any, fields: dict[str, Any], stop: frozenset[int]
) -> Trajectory:
    """One entry of what was returned."""
    prompt, ids = tokens("prompt_ids", prompt, at), tokens("completion_ids", ids, at)
    logps = None if logps is None else numbers("logprobs", logps, at, len(ids))
    drawn = [True] * len(ids) if mask is None else [bool(each) for each in numbers("env_mask", mask, at, len(ids))]
    if mask is not None and not set(listed(mask)) <= {0, 1}:
        raise ValueError(f"`rollout_func` returned an `env_mask` for prompt {at} with other values than 0 and 1.")
    return Trajectory(prompt, ids, logps, drawn, ids[-1] in stop, fields=fields)


def as_list(name: str, value: Any, count: int) -> list[Any]:
    """What was returned under a name: an entry for each prompt."""
    value = listed(value)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"`rollout_func` returned a {type(value).__name__} as `{name}`. Return a list.")
    if len(value) != count:
        raise ValueError(
            f"`rollout_func` returned {len(value)} entries as `{name}` for {count} prompts. Return one for each, in "
            "order."
        )
    return list(value)


def tokens(name: str, value: Any, at: int) -> list[int]:
    """The ids of an entry, of which there is at least one."""
    value = listed(value)
    if not isinstance(value, list) or not all(type(each) is int and each >= 0 for each in value):
        raise TypeError(
            f"`rollout_func` returned {value!r:.80} as `{name}` of prompt {at}. Return a list of token ids."
        )
    if not value:
        raise ValueError(f"`rollout_func` returned no tokens as `{name}` of prompt {at}. Return at least one.")
    return value


def numbers(name: str, value: Any, at: int, count: int) -> list[float]:
    """The numbers of an entry, one for each token of the completion."""
    value = listed(value)
    if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
        raise TypeError(f"`rollout_func` returned {value!r:.80} as `{name}` of prompt {at}. Return a list of numbers.")
    if len(value) != count:
        raise ValueError(
            f"`rollout_func` returned {len(value)} values as `{name}` of prompt {at}, whose completion has {count} "
            "tokens. Return one for each."
        )
    return [float(each) for each in value]


def listed(value: Any) -> Any:
    """Tensors and arrays as lists, and tuples too."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
