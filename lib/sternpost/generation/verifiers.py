"""Tasksets of verifiers (https://github.com/PrimeIntellect-ai/verifiers) of version 0.4 on.

Its tasks are the rows, its toolsets the tools of conversations, its rewards the rewards. Conversations are ours, so
that every token is trained on as it was sampled. What only its own harnesses can do (containers, programs, tools on
another machine, stops and interceptions) is refused.
"""

import asyncio
import inspect
import json
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from datasets import Dataset

from .tools import Schema

WAY_OUT = "tasksets of verifiers need the package: `pip install 'sternpost[verifiers]'`."


def taskset(source: Any, size: int | None = None, **config: Any) -> tuple[Dataset, type | None, Callable[..., Any]]:
    """A taskset as `(dataset, environment, reward function)`: `train_dataset`, `environment_factory`, `reward_funcs`.

    Args:
        source: The id of an installed taskset, or a taskset.
        size: How many of its tasks; by default all.
        config: Options of the taskset, if `source` is an id.

    Raises:
        ImportError: verifiers is not installed.
        ValueError: the tasks need more than a conversation with tools.
    """
    try:
        import verifiers.v1 as vf
    except ImportError as error:
        raise ImportError(WAY_OUT) from error
    if isinstance(source, str):
        source = vf.load_taskset(vf.taskset_config_type(source).model_validate({"id": source, **config}))
    if size is None and not source.bounded:
        raise ValueError(f"`size` is missing: {type(source).__name__} never ends. Say how many tasks to take.")
    tasks = list(islice(source, size))
    if not tasks:
        raise ValueError(f"{type(source).__name__} has no tasks.")
    check_task(tasks[0])
    rows = [{"prompt": prompt_of(task), "entry": at} for at, task in enumerate(tasks)]
    return Dataset.from_list(rows), environment_of(source, tasks), reward_of(tasks)


def check_task(task: Any) -> None:
    """Raise for what takes more than a conversation."""
    from verifiers.v1 import Task
    from verifiers.v1.utils.decorators import discover_decorated

    kind = type(task)
    needs = [
        f"`{name}`"
        for name in ("setup", "finalize", "stage_verifier")
        if getattr(kind, name) is not getattr(Task, name)
    ]
    needs += ["a container"] if kind.NEEDS_CONTAINER else []
    needs += [f"the stop `{stop.__name__}`" for stop in task.hooks("stop")]
    needs += [f"the interception `{each.__name__}`" for each in discover_decorated(task, "intercept")]
    for reward in task.hooks("reward"):
        runtime = inspect.signature(reward).parameters.get("runtime")
        if runtime is not None and runtime.default is inspect.Parameter.empty:
            needs.append(f"a runtime for the reward `{reward.__name__}`")
    if needs:
        raise ValueError(
            f"tasks of {kind.__name__} need {', '.join(needs)}, which only a harness of verifiers has. Run it by "
            "`rollout_func`, or choose a taskset that is a conversation with tools."
        )


def prompt_of(task: Any) -> list[dict[str, Any]]:
    """The messages that a task begins with.

    Raises:
        ValueError: it has none.
    """
    prompt, system = task.data.prompt, task.data.system_prompt
    if prompt is None:
        raise ValueError(
            f"task {task.data.idx} has no prompt: its user begins the conversation, which is not supported."
        )
    opening = [{"role": "system", "content": system}] if system else []
    if isinstance(prompt, str):
        return [*opening, {"role": "user", "content": prompt}]
    return [*opening, *(message.model_dump(exclude_none=True) for message in prompt)]


# ---- Tools -----------------------------------------------------------------------------------------------------------


class Toolroom:
    """The tools of one task, as an environment. Subclasses have a method for each tool."""

    taskset: Any
    tasks: Sequence[Any]

    def __init__(self) -> None:
        self.shared: list[Any] | None = None
        self.servers: list[Any] = []

    async def reset(self, entry: int) -> None:
        task = self.tasks[entry]
        if self.shared is None:
            self.shared = self.taskset.toolsets(self.taskset.config)
            for server in self.shared:
                await server.setup()
        own = task.toolsets(task.config)
        for server in own:
            await server.setup()
            await server.setup_task(task.data)
        self.servers = [*self.shared, *own]

    def _state(self) -> Any:
        """What the tools know of the conversation; None if they keep nothing."""
        return next((server.state for server in self.servers if keeps_state(server)), None)


def environment_of(source: Any, tasks: Sequence[Any]) -> type | None:
    """An environment with the tools of a taskset; None if it has none.

    Raises:
        ValueError: tools run elsewhere, or share what they know with one another.
    """
    servers = [*source.toolsets(source.config), *tasks[0].toolsets(tasks[0].config)]
    for server in servers:
        if server.config.url is not None:
            raise ValueError(
                f"the tools of {type(server).__name__} are at {server.config.url}, which is not supported."
            )
    if sum(map(keeps_state, servers)) > 1:
        raise ValueError(f"several toolsets of {type(source).__name__} share a state, which is not supported.")
    methods = {name: method(at, function, schema) for at, server in enumerate(servers)
               for name, (function, schema) in tools_of(server).items()}  # fmt: skip
    if not methods:
        return None
    return type(f"{type(source).__name__}Tools", (Toolroom,), {"taskset": source, "tasks": tasks, **methods})


def keeps_state(server: Any) -> bool:
    from verifiers.v1 import State

    return type(server.state) is not State


def tools_of(server: Any) -> dict[str, tuple[str, Schema]]:
    """The methods of a toolset that are tools, and their schemas, by the names that models know them by."""
    from mcp.server.mcpserver import MCPServer
    from verifiers.v1.utils.decorators import discover_decorated

    described = MCPServer(server.server_name)
    server.register(described)
    tools = {tool.name: tool for tool in asyncio.run(described.list_tools())}
    found = {}
    for function in discover_decorated(server, "tool"):
        tool = tools[getattr(function, "tool_name", None) or function.__name__]
        name = f"{server.server_name}_{tool.name}" if server.server_name else tool.name
        what = {"name": name, "description": tool.description or "", "parameters": tool.input_schema}
        found[name] = (function.__name__, {"type": "function", "function": what})
    return found


def method(at: int, function: str, schema: Schema) -> Callable[..., Any]:
    """The tool of a server, as a method of the environment."""

    async def call(self: Toolroom, **arguments: Any) -> Any:
        result = getattr(self.servers[at], function)(**arguments)
        return await result if inspect.isawaitable(result) else result

    call.__name__ = schema["function"]["name"]
    call.json_schema = schema  # type: ignore[attr-defined]
    return call


# ---- Rewards ---------------------------------------------------------------------------------------------------------


def reward_of(tasks: Sequence[Any]) -> Callable[..., Any]:
    """The reward function that asks each task."""

    async def reward(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        entry: Sequence[int],
        environments: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> list[float]:
        rooms = [None] * len(entry) if environments is None else environments
        return await asyncio.gather(*(score(tasks[at], *each) for at, *each in zip(entry, prompts, completions, rooms)))

    reward.__name__ = f"{type(tasks[0]).__name__}_reward"
    return reward


async def score(task: Any, prompt: Sequence[Any], completion: Sequence[Any], room: Toolroom | None) -> float:
    """The sum of a task's weighted rewards for a conversation."""
    import verifiers.v1 as vf

    state = None if room is None else room._state()
    trace = vf.Trace(
        task=vf.TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash),
        agent=vf.AgentInfo(config=vf.AgentConfig()),
        **({} if state is None else {"state": state}),
    )
    for at, message in enumerate([*prompt, *completion]):
        sampled = at >= len(prompt) and message["role"] == "assistant"
        parent = at - 1 if at else None
        trace.nodes.append(vf.MessageNode(parent=parent, message=typed(message), sampled=sampled))
    trace.stop("agent_completed")
    trace.ok = True
    await task.score(trace)
    return trace.reward


def typed(message: dict[str, Any]) -> Any:
    """A message as verifiers has them."""
    import verifiers.v1 as vf

    content = message.get("content")
    if message["role"] == "assistant":
        calls = [
            vf.ToolCall(
                id=call["id"], name=call["function"]["name"], arguments=json.dumps(call["function"]["arguments"])
            )
            for call in message.get("tool_calls") or ()
        ]
        reasoning = message.get("reasoning_content")
        return vf.AssistantMessage(content=content, tool_calls=calls or None, reasoning_content=reasoning)
    if message["role"] == "tool":
        return vf.ToolMessage(tool_call_id=message["tool_call_id"], content=content, name=message.get("name"))
    return {"system": vf.SystemMessage, "user": vf.UserMessage}[message["role"]](content=content)
