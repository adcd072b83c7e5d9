"""Rows -> completions: of a roll-out function, of conversations with tools, or in one turn."""

from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset

from ..data.prompts import PromptTokenizer, check_prompts
from ..data.splits import Rows
from ..generation.backend import Backend, Sampling
from ..generation.conversations import Conversations
from ..generation.environments import Environments
from ..generation.options import prompts_of
from ..generation.rollout_func import from_rollout_func
from ..generation.trajectory import Trajectory
from ..generation.turns import single_turn


class Source:
    """What makes the completions of a run.

    Args:
        args: Options of `GRPOConfig`.
        processing_class: The tokenizer, with its chat template.
        tools: Functions that the policy may call.
        environments: Where conversations take place.
        rollout_func: `f(prompts)`, what makes completions instead.
    """

    def __init__(
        self,
        args: Any,
        processing_class: Any,
        tools: Sequence[Callable[..., Any]] | None,
        environments: Environments | None,
        rollout_func: Callable[[list[Any]], Any] | None,
    ) -> None:
        self.rollout_func, self.conversations = rollout_func, None
        self.tokenize_prompts = PromptTokenizer(processing_class, args.chat_template_kwargs)
        self.has_tools = bool(tools or environments)
        if self.has_tools:
            self.conversations = Conversations(
                processing_class, tools, environments, args.max_tool_calling_iterations,
                self.tokenize_prompts.options, args.tool_timeout,
            )  # fmt: skip

    def __call__(self, backend: Backend, rows: Sequence[dict[str, Any]], sampling: Sampling) -> list[Trajectory]:
        """A completion for each row."""
        if not rows:
            return []
        if self.rollout_func is not None:
            found = self.rollout_func([row.get("prompt") for row in rows])
            return from_rollout_func(found, len(rows), sampling.stop)
        if self.conversations is not None:
            return self.conversations.roll_out(backend, rows, sampling)
        return single_turn(backend, self.tokenize_prompts(rows), sampling)


def checked_rows(
    args: Any,
    train_dataset: Rows | None,
    eval_dataset: Rows | dict[str, Rows] | None,
    tools: Any,
    environment_factory: Any,
    rollout_func: Any,
) -> Rows:
    """The rows to train on, which may be empty ones where environments make the prompts.

    Raises:
        ValueError: there are none, or not as they should be; or completions are to come from two places.
    """
    if rollout_func is not None and (tools or environment_factory):
        raise ValueError("`rollout_func` takes the place of `tools` and `environment_factory`. Pass one of them.")
    if train_dataset is None:
        if environment_factory is None or args.max_steps < 1:
            raise ValueError(
                "`train_dataset` is missing. Pass the prompts to train on; or an `environment_factory`, whose `reset` "
                "returns them, and `max_steps`."
            )
        train_dataset = Dataset.from_dict({"prompt": [None] * prompts_of(args)})
    several_turns = bool(tools or environment_factory)
    shared = args.use_vllm and args.vllm_mode == "colocate" and args.vllm_tensor_parallel_size > 1
    together = shared or not (args.use_vllm or args.ds3_gather_for_generation)
    if args.world_size > 1 and together and (several_turns or args.dynamic_sampling_rounds):
        raise ValueError(
            "With `vllm_tensor_parallel_size` above 1 in these processes, or `ds3_gather_for_generation=False`, all of "
            "them have to draw together, but with tools, environments or `dynamic_sampling_rounds` each draws as often "
            "as it needs to."
        )
    made = environment_factory is not None
    check_prompts(train_dataset, eval_dataset, made, prompts_of(args), read_elsewhere=rollout_func is not None)
    return train_dataset
