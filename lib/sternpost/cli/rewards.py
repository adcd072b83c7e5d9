"""The rewards of commands that generate, from names to what a trainer takes."""

from pathlib import Path
from typing import Any

from .errors import UsageError
from .training import Inputs, model_path


def check_rewards(values: dict[str, Any]) -> None:
    """What can be known to be wrong without importing rewards of the user's.

    Raises:
        UsageError: there is no reward, a name is unknown, or a reward model is certainly not there.
    """
    from ..rewards import load_reward
    from ..sources import looks_local, nearest_file

    names, model = values.get("reward_funcs") or [], values.get("reward_model_name_or_path")
    if not (names or model):
        raise UsageError(
            "nothing to learn from: give --reward_funcs, such as accuracy_reward or module.function, or "
            "--reward_model_name_or_path DIRECTORY."
        )
    try:
        for name in names:
            if "." not in name:
                load_reward(name)
        if model and looks_local(model) and not Path(model).expanduser().is_dir():
            near = nearest_file(Path(model).expanduser())
            raise FileNotFoundError(f"`reward_model_name_or_path={model!r}` is no directory{near}")
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error


def rewards(inputs: Inputs) -> list[Any]:
    """The reward model, if there is one, and the functions, in the order of `reward_weights`."""
    from ..rewards import load_reward

    (asked,) = inputs.also
    model = asked.reward_model_name_or_path
    return [*([model_path(model)] if model else []), *(load_reward(name) for name in asked.reward_funcs or [])]
