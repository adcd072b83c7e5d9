"""Samples from a policy that is sharded over processes, of which each draws another number of tokens.

python -m torch.distributed.run --nproc_per_node 2 tests/models/gather_run.py OUT
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from sternpost.generation.backend import Group, Sampling
from sternpost.generation.engine import InProcessEngine
from sternpost.models.gather import parameter_groups, whole_weights
from tests import tiny
from tests.processes import leave

PROMPTS = [[5, 9, 3], [7, 7, 8, 20]]
LENGTHS = [3, 17]


def shard(model: torch.nn.Module) -> torch.nn.Module:
    """Spread the weights of each layer over all processes, and those outside of layers."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    return fully_shard(model, mesh=mesh)


def settings(model: torch.nn.Module) -> list[bool]:
    """Which modules of FSDP2 shard their weights again behind a forward pass."""
    modules = [model.model.layers[0], model]
    return [group.post_forward_mesh_info is not None for module in modules for group in parameter_groups(module)]


def update(model: torch.nn.Module) -> float:
    """One step of training; the loss before it."""
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    ids = torch.tensor([PROMPTS[1]])
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    return loss.item()


def main() -> None:
    out = Path(sys.argv[1])
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    whole = tiny.model(tie_word_embeddings=False)
    policy = tiny.model(tie_word_embeddings=False)
    wrapped = shard(policy)
    engine = InProcessEngine(policy, slots=2)
    engine.sync(wrapped)
    losses = [(update(whole), update(wrapped))]
    before = settings(policy)
    sampling = Sampling(LENGTHS[rank], seed=rank)
    found = engine.sample([Group(prompt, 3) for prompt in PROMPTS], sampling)
    sharded = all(isinstance(weight, DTensor) for weight in policy.parameters())
    layer_by_layer = InProcessEngine(policy, slots=2, gather=False).sample(
        [Group(prompt, 3) for prompt in PROMPTS], sampling
    )
    nothing = InProcessEngine(policy, gather=False).sample([Group(PROMPTS[0])] if rank else [], sampling)
    expected = InProcessEngine(whole, slots=2).sample([Group(prompt, 3) for prompt in PROMPTS], sampling)
    again = settings(policy)
    with whole_weights(wrapped):
        pass  # may be called when nothing was sampled
    losses.append((update(whole), update(wrapped)))
    result = {
        "found": [[each.ids for each in of] for of in found],
        "layer by layer": [[each.ids for each in of] for of in layer_by_layer],
        "groups": len(nothing),
        "expected": [[each.ids for each in of] for of in expected],
        "settings": [before, again],
        "sharded": sharded,
        "losses": losses,
    }
    out.with_suffix(f".{rank}").write_text(json.dumps(result))
    leave()


if __name__ == "__main__":
    main()
