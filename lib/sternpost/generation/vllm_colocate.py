"""Generation by vLLM in the trainer's own processes, on the devices that train.

sync     weights -> the engine beside the policy, without a detour
sample   prompts of the ranks that share an engine -> completions; each rank takes its own
"""

import copy
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from accelerate import PartialState
from transformers import PreTrainedModel

from .backend import Completion, Group, Sampling
from .vllm_plugin import NAME
from .vllm_requests import check_prompts, for_each_member, parameters_of
from .vllm_weights import checkpoint_weights

BATCHED_TOKENS = 4096
"""Tokens of prompts and completions that are computed in one step."""


class VLLMColocate:
    """Draws completions from a vLLM engine beside the policy.

    Args:
        model: The policy's base model. Its weights are not read here: `sync` brings them.
        processing_class: Its tokenizer.
        slots: How many completions are drawn side by side.
        dtype: What the engine computes in, such as `bfloat16`; by default what the policy is in.
        memory: Share of a device's memory that the engine may fill.
        max_length: Longest prompt with its completion; by default what the model can do.
        tensor_parallel_size: How many ranks share an engine.
        implementation: Whose model code computes, `vllm` or `transformers`.
        sleep: Give the memory back by `rest`, while the policy learns. The weights are brought again afterwards.
        regex: What completions have to match.

    Raises:
        ImportError: vLLM is not installed.
        ValueError: the ranks cannot be divided among engines.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processing_class: Any,
        *,
        slots: int = 64,
        dtype: str | None = None,
        memory: float = 0.3,
        max_length: int | None = None,
        tensor_parallel_size: int = 1,
        implementation: str = "vllm",
        sleep: bool = False,
        regex: str | None = None,
    ) -> None:
        if find_spec("vllm") is None:
            raise ImportError(
                '`vllm_mode="colocate"` needs vLLM: `pip install "sternpost[vllm]"`. A server (`vllm_mode="server"`) '
                "may have it in an environment of its own."
            )
        state = PartialState()
        ranks = state.num_processes
        if ranks % tensor_parallel_size:
            raise ValueError(
                f"`vllm_tensor_parallel_size={tensor_parallel_size}` does not divide the {ranks} processes: "
                "each engine needs as many."
            )
        self.shared, self.regex, self.asleep = tensor_parallel_size, regex, False
        self.place = state.process_index % tensor_parallel_size
        self.group = dist.new_subgroups(tensor_parallel_size)[0] if tensor_parallel_size > 1 else None
        self.sleeps = sleep and state.device.type != "cpu"  # vLLM has no sleep on a CPU
        self.model: Any = None
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine lives in this process
        with TemporaryDirectory() as directory, undisturbed():
            from vllm import LLM

            config = copy.deepcopy(model.config)
            config.architectures = [type(model).__name__]
            config.save_pretrained(directory)
            processing_class.save_pretrained(directory)
            self.llm = LLM(
                model=directory,
                load_format="dummy",
                dtype=dtype or str(model.dtype).removeprefix("torch."),  # left to itself, vLLM would halve float32
                tensor_parallel_size=tensor_parallel_size,
                distributed_executor_backend="external_launcher" if ranks > 1 else None,
                gpu_memory_utilization=memory,
                max_model_len=max_length,
                max_num_seqs=slots,
                max_num_batched_tokens=max(BATCHED_TOKENS, slots),
                model_impl=implementation,
                enable_sleep_mode=self.sleeps,
                enforce_eager=state.device.type == "cpu",
                logprobs_mode="processed_logprobs",
                weight_transfer_config={"backend": NAME},
                seed=state.process_index // tensor_parallel_size,
            )

    def sync(self, model: Any) -> None:
        """Bring the policy's weights. Every rank has to call this.

        Raises:
            ValueError: weights that cannot be told (quantised, virtual tokens).
        """
        self.model = model
        if self.asleep:
            self.llm.wake_up(tags=["weights"])
        self.llm.start_weight_update()
        self.llm.update_weights({"update_info": {"weights": checkpoint_weights(model)}})
        self.llm.finish_weight_update()
        if self.asleep:
            self.llm.wake_up(tags=["kv_cache"])
            self.asleep = False
        self.llm.reset_prefix_cache()

    def sample(self, groups: Sequence[Group], sampling: Sampling) -> list[list[Completion]]:
        """The completions of each group, in order. All ranks that share an engine have to call this together.

        Their log-probabilities are of what was drawn from: after `top_k`, `top_p` and `min_p` have left tokens out.

        Raises:
            ValueError: a prompt is empty.
            RuntimeError: there are no weights to draw with, or vLLM broke a completion off.
        """
        if self.model is None:
            raise RuntimeError("The engine has none of the policy's weights yet. Call `sync(model)` before `sample`.")
        check_prompts(groups)
        if self.asleep:
            self.sync(self.model)
        asked: list[Any] = [(list(groups), sampling)]
        if self.group is not None:
            asked = [None] * self.shared
            dist.all_gather_object(asked, (list(groups), sampling), group=self.group)
        sizes = [len(of) for of, _ in asked]
        requests = [(group, number, how) for of, how in asked for number, group in enumerate(of)]
        with undisturbed():
            answers = self.llm.generate(
                [{"prompt_token_ids": list(group.prompt)} for group, _, _ in requests],
                [self.parameters(*request) for request in requests],
                use_tqdm=False,
            )
        first = sum(sizes[: self.place])
        own = answers[first : first + len(groups)]
        return [for_each_member(completions_of(answer), group) for answer, group in zip(own, groups, strict=True)]

    def rest(self) -> None:
        """Give the memory back, if the engine may sleep, until weights come or completions are drawn: who draws first
        brings the weights again, so that all ranks have to call this, and then to draw, equally often."""
        if self.sleeps and not self.asleep:
            self.llm.sleep(level=2)
            self.asleep = True

    def parameters(self, group: Group, number: int, sampling: Sampling) -> Any:
        """What vLLM is asked for a group."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        wanted = parameters_of(group, number, sampling)
        if self.regex is not None:
            wanted["structured_outputs"] = StructuredOutputsParams(regex=self.regex)
        return SamplingParams(**wanted, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)


def completions_of(answer: Any) -> list[Completion]:
    """The completions of one prompt.

    Raises:
        RuntimeError: vLLM broke one off.
    """
    for each in answer.outputs:
        if each.finish_reason not in ("stop", "length"):
            raise RuntimeError(f"vLLM broke a completion off ({each.finish_reason}); its log says why.")
    return [
        Completion(
            list(each.token_ids),
            [step[token].logprob for step, token in zip(each.logprobs, each.token_ids, strict=True)],
            each.finish_reason == "stop",
        )
        for each in sorted(answer.outputs, key=lambda each: each.index)
    ]


@contextmanager
def undisturbed() -> Iterator[None]:
    """What vLLM changes in its process is put back: random states, and on a CPU a function of torch."""
    threads, plain, numpys = torch.set_num_threads, random.getstate(), np.random.get_state()
    used = torch.accelerator.current_accelerator(check_available=True)
    try:
        if used is None:
            forked = torch.random.fork_rng(devices=[])
        else:
            forked = torch.random.fork_rng([torch.accelerator.current_device_index()], device_type=used.type)
        with forked:
            yield
    finally:
        torch.set_num_threads = threads
        random.setstate(plain)
        np.random.set_state(numpys)
