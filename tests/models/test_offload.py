"""Activations in host memory."""

import contextlib

import torch
from torch import nn

from sternpost.models import offload
from sternpost.models.offload import offload_activations


def test_large_activations_leave_and_come_back(monkeypatch):
    """What autograd saves goes to the host device, parameters and small tensors do not, and gradients are equal.

    The meta device stands in for the host: what is on it has left this device's memory.
    """
    monkeypatch.setattr(offload, "SMALLEST", 50)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    rows = torch.randn(10, 8)
    with offload_activations(model, host=torch.device("meta")):
        saved = [tensor for tensor in collect_saved(model(rows).sum()) if tensor.device.type == "meta"]
    shapes = {tuple(tensor.shape) for tensor in saved}
    assert (10, 16) in shapes
    assert not any(shape in {(16, 8), (4, 16), (8, 16), (16, 4)} for shape in shapes)


def collect_saved(output):
    """Packed tensors of the graph behind `output`, as the hooks stored them."""
    found, seen, queue = [], set(), [output.grad_fn]
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        for name in dir(node):
            if name.startswith("_raw_saved"):
                raw = getattr(node, name)
                for item in raw if isinstance(raw, tuple) else (raw,):
                    with contextlib.suppress(RuntimeError):
                        found.append(item.data)
        queue += [parent for parent, _ in node.next_functions]
    return [item[1] if isinstance(item, tuple) else item for item in found if item is not None]


def test_gradients_are_unchanged(monkeypatch):
    """On a device that needs no offloading, nothing changes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    rows = torch.randn(10, 8)
    model(rows).square().sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with offload_activations(model):
        model(rows).square().sum().backward()
    for parameter, grad in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, grad)
