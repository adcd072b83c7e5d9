"""One of two processes that share a vLLM server (see test_vllm_server.py)."""

import sys
from pathlib import Path

import torch
import urllib3
from accelerate import PartialState
from torch.distributed.fsdp import fully_shard

from sternpost.generation.backend import Group, Sampling
from sternpost.generation.vllm_server import VLLMServer

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests import tiny
from tests.processes import leave

url, directory = sys.argv[1:]
state = PartialState(cpu=True)
model = tiny.model()
for layer in model.model.layers:
    fully_shard(layer)
fully_shard(model)

backend = VLLMServer(url, 20.0, directory=f"{directory}/weights")
backend.sync(model)
rank = state.process_index
groups, sampling = [Group([rank + 1, 5], 3)], Sampling(max_tokens=6, temperature=0.7, stop=frozenset({3, 12}), seed=4)
(before,) = backend.sample(groups, sampling)
state.wait_for_everyone()
if rank == 1:
    urllib3.request("POST", f"{url}/restart")
    (after,) = backend.sample(groups, sampling)
state.wait_for_everyone()  # where the first rank was all the time
if rank == 0:
    (after,) = backend.sample(groups, sampling)
torch.save((before, after), f"{directory}/{rank}.pt")
leave()
