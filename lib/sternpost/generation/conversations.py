"""Rows -> conversations in which the policy calls tools, token for token as it sampled them.

row -> environment, reset; messages; tokens of the prompt     environments.py, chat.py
all that are running -> one reply each, in one call           turns.py
reply -> calls -> results                                     replies.py, tools.py
results -> tokens of the template behind the reply            chat.py
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..data.chat import ProcessingClass
from ..data.rows import Chat, RowBatch
from .backend import Backend, Completion, Sampling
from .chat import ToolChat
from .environments import Environments, Instance, Observation
from .replies import parse_reply
from .tools import Calls, Outcome, Schema, ToolCall, by_name, schema_of
from .trajectory import Trajectory
from .turns import draw_each


@dataclass
class Conversation:
    """One that is running."""

    prompt: list[int]
    schemas: list[Schema]
    functions: dict[str, Callable[..., Any]]
    template_kwargs: dict[str, Any]
    opening: Chat
    instance: Instance | None = None
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    drawn: list[bool] = field(default_factory=list)
    messages: Chat = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    """Those of the last reply."""
    rounds: int = 0
    made: int = 0
    failed: int = 0
    finished: bool = False

    def add(self, ids: list[int], logps: list[float] | None) -> None:
        """Take on tokens: drawn ones with their log-probabilities, or others."""
        self.ids += ids
        self.logps += [0.0] * len(ids) if logps is None else logps
        self.drawn += [logps is not None] * len(ids)

    def trajectory(self) -> Trajectory:
        instance = self.instance
        return Trajectory(
            self.prompt, self.ids, self.logps, self.drawn, self.finished,
            messages=self.messages if self.functions else None,
            prompt_messages=None if instance is None else self.opening,
            tool_calls=self.made, tool_failures=self.failed,
            environment=None if instance is None else instance.value,
        )  # fmt: skip


class Conversations:
    """Rolls out rows with tools, with environments or with both.

    Args:
        processing_class: The tokenizer or processor, with its chat template.
        tools: Functions that the model may call, synchronous or not.
        environments: Where conversations take place; their public methods are tools too.
        max_tool_calling_iterations: How many replies of a conversation have their calls made. None is no limit.
        chat_template_kwargs: Arguments for the chat template; those of the column of this name come over them.
        tool_timeout: Seconds that a call may take; environments bring their own.

    Raises:
        ValueError: the chat template cannot show calls, or they cannot be read; a tool has no docstring or type hints.
    """

    def __init__(
        self,
        processing_class: ProcessingClass,
        tools: Sequence[Callable[..., Any]] | None = None,
        environments: Environments | None = None,
        max_tool_calling_iterations: int | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
        tool_timeout: float | None = None,
    ) -> None:
        self.iterations, self.environments = max_tool_calling_iterations, environments
        self.functions = by_name(tools or ())
        self.schemas = {name: schema_of(function) for name, function in self.functions.items()}
        # One event loop for both: what an environment opens in `reset` belongs to the loop that ran it.
        self.calls = Calls(tool_timeout) if environments is None else environments.calls
        offered = {"": [*self.schemas.values()]}
        if self.environments is not None:
            offered = {name: [*self.schemas.values(), *own] for name, own in self.environments.schemas.items()}
        self.chat = ToolChat(processing_class, chat_template_kwargs)
        stop = frozenset({self.chat.tokenizer.eos_token_id, self.chat.tokenizer.pad_token_id} - {None})
        for name, schemas in offered.items():
            check_names(schemas, name)
            if schemas:
                self.chat.check(schemas, stop)

    def roll_out(self, backend: Backend, rows: Sequence[Mapping[str, Any]], sampling: Sampling) -> list[Trajectory]:
        """A conversation for each row, all of its turns together of at most `sampling.max_tokens` tokens.

        Those that are still running get their next replies in one call of the backend. One ends with a reply that calls
        nothing, or whose calls are beyond `max_tool_calling_iterations`; or, not finished, where no room is left.

        Raises:
            ValueError, TypeError: a row is not as it should be; the message names it.
            RuntimeError: an environment cannot be reset.
        """
        conversations = self.open(rows)
        running, turn = conversations, 0
        while running:
            now = replace(sampling, seed=sampling.seed + turn)
            left = [sampling.max_tokens - len(each.ids) for each in running]
            drawn = draw_each(backend, [each.prompt + each.ids for each in running], now, left)
            for each, completion in zip(running, drawn, strict=True):
                self.take(each, completion, sampling.stop)
            calling = [each for each in running if each.calls and each.rounds != self.iterations]
            outcomes = self.calls.run([[call.action(each.functions) for call in each.calls] for each in calling])
            running = [
                each for each, found in zip(calling, outcomes, strict=True) if self.answer(each, found, sampling)
            ]
            turn += 1
        return [each.trajectory() for each in conversations]

    def open(self, rows: Sequence[Mapping[str, Any]]) -> list[Conversation]:
        """The conversation of each row, up to the first reply."""
        names = dict.fromkeys(name for row in rows for name in row)
        batch = RowBatch({name: [row.get(name) for row in rows] for name in names}, range(len(rows)), "batch")
        begun: list[tuple[Instance | None, Observation]] = [(None, None)] * len(rows)
        if self.environments is not None:
            begun = [*self.environments.begin(rows)]
        conversations = []
        columns = zip(begun, batch.tools(), batch.template_kwargs(), strict=True)
        for at, ((instance, observation), shown, template_kwargs) in enumerate(columns):
            schemas = self.shown(batch, at, shown)
            functions = {schema["function"]["name"]: self.functions[schema["function"]["name"]] for schema in schemas}
            if instance is not None and self.environments is not None:
                schemas, functions = schemas + self.environments.schemas[instance.name], functions | instance.tools
            opening = self.opening(batch, at, observation)
            prompt = self.chat.prompt(opening, schemas, **template_kwargs)
            conversations.append(Conversation(prompt, schemas, functions, template_kwargs, opening, instance))
        return conversations

    def shown(self, batch: RowBatch, at: int, schemas: list[Any] | None) -> list[Schema]:
        """The tools of a row: all, or those of its column `tools`, as it describes them.

        Raises:
            ValueError: there is no function to one of them.
        """
        if schemas is None:
            return [*self.schemas.values()]
        for schema in schemas:
            name = schema.get("function", {}).get("name") if isinstance(schema, dict) else None
            if name not in self.functions:
                way_out = "Pass the function as one of `tools`, or drop it from the row."
                raise batch.error(at, "tools", f"there is no function to call for {name!r}", way_out)
        return schemas

    def opening(self, batch: RowBatch, at: int, observation: Observation) -> Chat:
        """The messages of a prompt, with what the environment says behind those of the user.

        Raises:
            ValueError, TypeError: there is no prompt, or it is no list of messages.
        """
        prompt = batch.row(at).get("prompt")
        if prompt is None and observation is None:
            way_out = "Give the row messages, or let `reset` return the prompt."
            raise batch.error(at, "prompt", "there is none, and no environment that returned one", way_out)
        messages = [] if prompt is None else batch.chat(at, "prompt", prompt)
        if observation is None:
            return messages
        if not messages or messages[-1]["role"] != "user":
            return [*messages, {"role": "user", "content": observation}]
        return [*messages[:-1], {**messages[-1], "content": joined(messages[-1]["content"], observation)}]

    def take(self, conversation: Conversation, completion: Completion, stop: frozenset[int]) -> None:
        """Take on a reply, and find the calls in it; one that was cut off makes none."""
        before = conversation.prompt + conversation.ids
        conversation.add(completion.ids, completion.logps)
        conversation.finished, conversation.calls = completion.finished, []
        if conversation.functions:
            reply = parse_reply(
                self.chat.tokenizer, before, completion.ids, stop, conversation.schemas, conversation.made
            )
            conversation.messages.append(reply.message)
            conversation.calls = reply.calls if completion.finished else []

    def answer(self, conversation: Conversation, outcomes: Sequence[Outcome], sampling: Sampling) -> bool:
        """Put the results of calls behind them, if there is room for them and for a reply."""
        calls, results = conversation.calls, [outcome.text() for outcome in outcomes]
        conversation.rounds += 1
        conversation.made += len(calls)
        conversation.failed += sum(outcome.error is not None for outcome in outcomes)
        if conversation.instance is not None:
            conversation.instance.abandoned |= any(outcome.abandoned for outcome in outcomes)
        kwargs = conversation.template_kwargs
        ids = self.chat.between(calls, results, conversation.schemas, sampling.stop, **kwargs)
        if len(conversation.ids) + len(ids) >= sampling.max_tokens:
            conversation.finished = False
            return False
        conversation.add(ids, None)
        conversation.messages += [
            {"role": "tool", "name": call.name, "tool_call_id": call.number, "content": result}
            for call, result in zip(calls, results, strict=True)
        ]
        return True


def check_names(schemas: Sequence[Schema], environment: str) -> None:
    """Raise unless each tool has a name of its own."""
    names = [schema["function"]["name"] for schema in schemas]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        where = f"the environment {environment!r}" if environment else "the environment"
        raise ValueError(f"{', '.join(twice)}: one of `tools` and a method of {where} have this name. Rename one.")


def joined(content: Any, observation: str | list[dict[str, Any]]) -> Any:
    """What the user says, with more behind it: text if both are text, else a list of parts."""
    if isinstance(content, str) and isinstance(observation, str):
        return content + observation
    both = [[{"type": "text", "text": each}] if isinstance(each, str) else each for each in (content, observation)]
    return both[0] + both[1]
