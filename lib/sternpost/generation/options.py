"""Options of methods that generate, which several configs have: what they can be, and what they ask a backend for."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from .backend import Sampling

VLLMMode = Literal["server", "colocate"]
VLLMModelImpl = Literal["vllm", "transformers"]

OWN = "stop_token_ids"
"""The key of `generation_kwargs` that every backend knows."""
NAMED = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens", "n", "logprobs")
"""Keys that are options already, or decided by the trainer."""

Readers: TypeAlias = Sequence[tuple[Sequence[str], Callable[[Any], bool], str, str]]
"""Options, whether a config has them read, what reads them, and what to set for that."""

SERVER = '`use_vllm=True` and `vllm_mode="server"`'
READERS: Readers = (
    (
        ("vllm_server_base_url", "vllm_server_host", "vllm_server_port"),
        lambda args: args.use_vllm and args.vllm_mode == "server",
        "with a vLLM server",
        SERVER,
    ),
    (
        ("vllm_server_timeout", "vllm_group_port"),
        lambda args: not args.use_vllm or args.vllm_mode == "server",
        "with a vLLM server",
        SERVER,
    ),
    (
        ("vllm_model_impl", "vllm_enable_sleep_mode", "vllm_gpu_memory_utilization", "vllm_max_model_length",
         "vllm_tensor_parallel_size"),
        lambda args: not args.use_vllm or args.vllm_mode == "colocate",
        "by vLLM in this process, while a server is told such things when it is started",
        '`vllm_mode="colocate"`',
    ),
    (("vllm_mode", "vllm_structured_outputs_regex"), lambda args: args.use_vllm, "with vLLM", "`use_vllm=True`"),
    (
        ("num_completions_to_print", "log_unique_prompts"),
        lambda args: args.log_completions,
        "where completions are shown",
        "`log_completions=True`",
    ),
    (
        ("ref_model_mixup_alpha", "ref_model_sync_steps"),
        lambda args: args.sync_ref_model,
        "where the reference follows the policy",
        "`sync_ref_model=True`",
    ),
)  # fmt: skip
"""Options that without others would leave a run something else than it looks like. Those that only tune vLLM may stay
while `use_vllm` is off."""


def check_read(args: Any, readers: Readers) -> None:
    """Raise for options that are not as by default though nothing reads them."""
    defaults = {field.name: field.default for field in dataclasses.fields(args)}
    for options, is_read, where, setting in readers:
        for name in options:
            value = getattr(args, name)
            if value != defaults[name] and not is_read(args):
                raise ValueError(f"`{name}={value!r}` is read only {where}. Set {setting}, or leave it out.")


def check_generation(args: Any) -> None:
    """Raise for options of generation that are out of range, or would do nothing."""
    for name, least in (("num_generations", 2), ("num_generations_eval", 1), ("max_completion_length", 1),
                        ("generation_slots", 1), ("vllm_tensor_parallel_size", 1)):  # fmt: skip
        if getattr(args, name) < least:
            raise ValueError(f"`{name}={getattr(args, name)}` must be at least {least}.")
    for name in ("reward_timeout", "tool_timeout", "vllm_server_timeout", "max_tool_calling_iterations",
                 "num_completions_to_print", "vllm_max_model_length"):  # fmt: skip
        value = getattr(args, name, None)
        if value is not None and not value > 0:
            raise ValueError(f"`{name}={value}` must be positive, or None.")
    if not (args.temperature > 0 and math.isfinite(args.temperature)):
        raise ValueError(f"`temperature={args.temperature}` must be positive: completions have to differ.")
    multiple = args.pad_to_multiple_of
    if not (multiple in ("auto", None) or (isinstance(multiple, int) and multiple > 0)):
        raise ValueError(f'`pad_to_multiple_of={multiple!r}` must be "auto", None or a positive integer.')
    if not 0 < args.vllm_gpu_memory_utilization <= 1:
        raise ValueError(f"`vllm_gpu_memory_utilization={args.vllm_gpu_memory_utilization}` is a share: above 0 to 1.")
    order = args.train_sampling_strategy
    if order == "group_by_length" or (order == "sequential" and args.shuffle_dataset):
        raise ValueError(
            f"`train_sampling_strategy={order!r}`, but prompts come in groups, in the order that `shuffle_dataset="
            f"{args.shuffle_dataset}` says. Leave it out, and set `shuffle_dataset`."
        )
    if args.accelerator_config.split_batches:
        raise ValueError("`split_batches=True` would take groups apart. Leave it out of `accelerator_config`.")
    if args.accelerator_config.dispatch_batches:
        raise ValueError(
            "`dispatch_batches=True` would send batches from one process to the others as tensors, but these hold "
            "rows. Leave it out of `accelerator_config`."
        )
    if args.include_for_metrics:
        raise ValueError(
            f"`include_for_metrics={args.include_for_metrics!r}` is for `compute_metrics`, which is not there where "
            "rewards are the metrics. Leave it out."
        )
    check_read(args, READERS)
    for key in args.generation_kwargs or {}:
        if key in NAMED:
            raise ValueError(f"`generation_kwargs` holds `{key}`, which is decided elsewhere. Set the option itself.")
        if key != OWN and not args.use_vllm:
            raise ValueError(
                f"`generation_kwargs` holds `{key}`, which only vLLM knows. Set `use_vllm=True`; in this process "
                f"there is `{OWN}`."
            )
    sampling_of(args, frozenset())  # which checks the rest


def check_batches(args: Any) -> int:
    """Micro-batches of a generation.

    Raises:
        ValueError: generations, optimizer steps and groups do not fit into each other.
    """
    batch, accumulated = args.per_device_train_batch_size, args.gradient_accumulation_steps
    steps = args.steps_per_generation
    if args.generation_batch_size is not None:
        asked, rest = divmod(args.generation_batch_size, batch * args.world_size)
        if rest or not asked:
            raise ValueError(
                f"`generation_batch_size={args.generation_batch_size}` is no multiple of the {batch * args.world_size} "
                f"completions of a micro-batch (`per_device_train_batch_size={batch}`, {args.world_size} processes)."
            )
        if steps is not None and steps != asked:
            raise ValueError(
                f"`generation_batch_size={args.generation_batch_size}` means {asked} steps per generation, but "
                f"`steps_per_generation={steps}`. Set one of them."
            )
        if asked < accumulated:
            raise ValueError(
                f"`generation_batch_size={args.generation_batch_size}` is less than an optimizer step learns from: "
                f"{batch * args.world_size * accumulated} completions (`gradient_accumulation_steps={accumulated}`). "
                "Raise it, or leave it out."
            )
        steps = asked
    steps = accumulated if steps is None else steps
    if steps < 1:
        raise ValueError(f"`steps_per_generation={steps}` must be at least 1.")
    if steps % accumulated and accumulated % steps:
        raise ValueError(
            f"`steps_per_generation={steps}` and `gradient_accumulation_steps={accumulated}` do not divide each other, "
            "so that an optimizer step would hold pieces of generations. Make one a multiple of the other."
        )
    completions = batch * args.world_size * max(steps, accumulated)
    if completions % args.num_generations:
        raise ValueError(
            f"A generation makes {completions} completions (`per_device_train_batch_size={batch}`, {args.world_size} "
            f"processes, {max(steps, accumulated)} steps), which is no multiple of "
            f"`num_generations={args.num_generations}`. Change one of these numbers."
        )
    if args.eval_strategy != "no":
        check_evaluation(args)
    return steps


def batch_numbers(args: Any) -> dict[str, int]:
    """What decides which completions a micro-batch holds."""
    names = ("per_device_train_batch_size", "gradient_accumulation_steps", "steps_per_generation", "num_generations",
             "num_iterations", "world_size")  # fmt: skip
    return {name: getattr(args, name) for name in names}


def prompts_of(args: Any) -> int:
    """Different prompts of a generation, over all processes."""
    steps = max(args.steps_per_generation, args.gradient_accumulation_steps)
    return int(args.per_device_train_batch_size * args.world_size * steps // args.num_generations)


def check_evaluation(args: Any) -> None:
    """Raise a ValueError unless batches of evaluation hold whole groups."""
    evaluated = args.per_device_eval_batch_size * args.world_size
    if evaluated % args.num_generations_eval:
        raise ValueError(
            f"An evaluation batch holds {evaluated} completions (`per_device_eval_batch_size="
            f"{args.per_device_eval_batch_size}`, {args.world_size} processes), which is no multiple of "
            f"`num_generations_eval={args.num_generations_eval}`. Change one of these numbers."
        )


def sampling_of(args: Any, stop: frozenset[int], seed: int = 0) -> Sampling:
    """What a config asks a backend for.

    Raises:
        ValueError: an option is out of range.
    """
    given = dict(args.generation_kwargs or {})
    own = given.pop(OWN, None) or []
    if not (isinstance(own, list | tuple | set | frozenset) and all(type(token) is int for token in own)):
        raise ValueError(f"`generation_kwargs` holds `{OWN}={own!r}`, which is no list of ids. Give `[7]`, say.")
    return Sampling(
        max_tokens=args.max_completion_length,
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        min_p=args.min_p or 0.0,
        repetition_penalty=args.repetition_penalty,
        stop=stop | frozenset(own),
        seed=seed,
        extra=given,
    )
