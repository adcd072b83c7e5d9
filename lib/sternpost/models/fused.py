"""Scores of an ordinary linear head, tile by tile: the logits of a few hundred positions exist at any time.

Two functions with hand-written backward passes:
    `FusedObjective`  the loss per token is known beforehand, so its gradient is made right after the tile's logits,
                      while they exist: three matrix products a token, nothing is recomputed.
    `FusedScores`     returns differentiable log-probabilities and entropies; the backward pass makes the tiles again.

With p the softmax of the logits z, y the label and H the entropy:
    d log p_y / d z_v = 1[v = y] - p_v          d H / d z_v = -p_v (log p_v + H)
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .head import Float32Head
from .scores import Extra, LogitScale, Objective
from .tied import SharedGradient

TILE_ELEMENTS = 2**25
"""Logits per tile. Large enough that the weight gradient is not rewritten too often, small against the weights."""
MIN_TILE_ROWS, MAX_TILE_ROWS = 16, 512
WEIGHT_ROWS = 2**13
BLOCK_ELEMENTS = 2**19
"""Logits that are turned into probabilities at a time on a CPU, so that the passes over them stay in its cache."""


class Tile:
    """The logits of some positions, turned into probabilities in place."""

    def __init__(
        self,
        hidden: Float[Tensor, "n H"],
        weight: Float[Tensor, "V H"],
        bias: Float[Tensor, "V"] | None,
        targets: Int[Tensor, "n"],
        scale: LogitScale,
        temperature: float,
        extras: tuple[Extra, ...],
        out: Float[Tensor, "n V"],
        products: Float[Tensor, "n V"],
    ):
        self.targets, self.scale, self.temperature, self.products = targets, scale, temperature, products
        self.extras = extras
        if bias is None:
            torch.mm(hidden, weight.t(), out=products)
        else:
            torch.addmm(bias, hidden, weight.t(), out=products)
        logits = out if out.dtype == products.dtype else out.copy_(products)
        self.slope = None  # d(capped logit) / d(scaled logit)
        if scale.scale != 1:
            logits *= scale.scale
        if scale.softcap is not None:
            logits.div_(scale.softcap).tanh_()
            self.slope = 1 - logits.square()
            logits *= scale.softcap
        if temperature != 1:
            logits /= temperature
        self.probs = logits
        self.stats = self.normalise()

    def normalise(self) -> Float[Tensor, "s n"]:
        """Softmax in place. Returns log-probability, entropy, top-1 hit and the extras of each target."""
        rows, vocabulary = self.probs.shape
        block = max(1, BLOCK_ELEMENTS // vocabulary if self.probs.device.type == "cpu" else rows)
        stats = self.probs.new_empty(3 + len(self.extras), rows)
        scratch = self.probs.new_empty(min(block, rows), vocabulary)
        for start in range(0, rows, block):
            logits = self.probs[start : start + block]
            exps = scratch[: logits.size(0)]
            logps, entropy, top1, *extras = stats[:, start : start + block]
            if "mean_logit" in self.extras:
                torch.mean(logits, 1, out=extras[self.extras.index("mean_logit")])
            logits -= logits.amax(1, keepdim=True)
            torch.exp(logits, out=exps)
            total = exps.sum(1)
            label = logits.gather(1, self.targets[start : start + block, None]).squeeze(1)
            torch.sub(label, total.log(), out=logps)
            torch.sub(total.log(), torch.linalg.vecdot(exps, logits) / total, out=entropy)
            top1.copy_(label >= 0)
            torch.div(exps, total[:, None], out=logits)
            if "log_collision" in self.extras:
                torch.log(torch.linalg.vecdot(logits, logits), out=extras[self.extras.index("log_collision")])
        return stats

    def backward(
        self, grad_logps: Float[Tensor, "n"], grad_entropy: Float[Tensor, "n"] | None = None
    ) -> Float[Tensor, "n V"]:
        """Gradient with respect to the head's output. Overwrites the probabilities."""
        if grad_entropy is None:
            grad = self.probs.mul_(-grad_logps[:, None])
        else:
            log_probs = self.probs.log().clamp_(min=-200.0)  # log(0) times a probability of 0 must be 0
            slope = log_probs.add_(self.stats[1, :, None]).mul_(grad_entropy[:, None])
            grad = self.probs.mul_(slope.add_(grad_logps[:, None]).neg_())
        rows = torch.arange(len(self.targets), device=self.targets.device)
        grad[rows, self.targets] += grad_logps
        if self.slope is not None:
            grad *= self.slope
        factor = self.scale.scale / self.temperature
        if factor != 1:
            grad *= factor
        return grad

    def rounded(self, grad: Float[Tensor, "n V"]) -> Float[Tensor, "n V"]:
        """A gradient in the dtype of the products, in their buffer."""
        return grad if self.products.dtype == grad.dtype else self.products.copy_(grad)


def tiles(
    hidden: Float[Tensor, "N H"],
    weight: Float[Tensor, "V H"],
    bias: Float[Tensor, "V"] | None,
    targets: Int[Tensor, "N"],
    scale: LogitScale,
    temperature: float,
    extras: tuple[Extra, ...] = (),
) -> Iterator[tuple[slice, Tile]]:
    """Walk over the positions tile by tile. All tiles use the same buffers: finish one before the next."""
    rows = min(max(MIN_TILE_ROWS, TILE_ELEMENTS // weight.size(0)), MAX_TILE_ROWS, len(targets))
    products = hidden.new_empty(rows, weight.size(0))
    out = products if products.dtype == torch.float32 else torch.empty_like(products, dtype=torch.float32)
    for start in range(0, len(targets), max(rows, 1)):
        part = slice(start, min(start + rows, len(targets)))
        used = slice(part.stop - part.start)
        tile = Tile(hidden[part], weight, bias, targets[part], scale, temperature, extras, out[used], products[used])
        yield part, tile


class Gradients:
    """Accumulates the gradients of hidden states and head over tiles: sums in float32, products in `dtype`."""

    def __init__(
        self, hidden: Tensor, weight: Tensor, bias: Tensor | None, needs: tuple[bool, ...], dtype: torch.dtype
    ):
        self.hidden, self.weight = hidden.to(dtype), weight.to(dtype)
        self.parameters = (hidden, weight, bias)
        self.hidden_grad = torch.empty_like(self.hidden) if needs[0] else None
        self.weight_grad = torch.empty_like(weight, dtype=torch.float32) if needs[1] else None
        self.started = False
        self.bias_grad = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and needs[2] else None

    def add(self, part: slice, tile: Tile, grad: Float[Tensor, "n V"]) -> None:
        """Add a tile whose logits have the gradient `grad`."""
        if self.bias_grad is not None:
            self.bias_grad += grad.sum(0)
        grad, hidden = tile.rounded(grad), self.hidden[part]
        if self.hidden_grad is not None:
            torch.mm(grad, self.weight, out=self.hidden_grad[part])
        if self.weight_grad is not None:
            for rows in self.blocks():
                self.add_weight(self.weight_grad[rows], grad[:, rows].t(), hidden)
            self.started = True

    def blocks(self) -> Iterator[slice]:
        """Rows of the weight whose gradient is made at a time: all, unless products need a copy on a CPU."""
        rows = len(self.weight)
        size = WEIGHT_ROWS if self.weight.dtype != torch.float32 and self.weight.device.type == "cpu" else rows
        for start in range(0, rows, size):
            yield slice(start, start + size)

    def add_weight(self, total: Float[Tensor, "v H"], grad: Float[Tensor, "v n"], hidden: Float[Tensor, "n H"]) -> None:
        """Add a product to a part of the weight's gradient; the first product of all is written over what is there."""
        if grad.dtype == total.dtype:
            total.addmm_(grad, hidden, beta=1 if self.started else 0)
        elif self.started:
            total += grad @ hidden
        else:
            total.copy_(grad @ hidden)

    def finish(self, factor: Tensor | None = None) -> tuple[Tensor | None, ...]:
        """The gradients times `factor`, in the dtypes of what they belong to."""
        if self.weight_grad is not None and not self.started:
            self.weight_grad.zero_()
        grads = (self.hidden_grad, self.weight_grad, self.bias_grad)
        if factor is not None and not (factor.device.type == "cpu" and factor == 1):
            for grad in grads:
                if grad is not None:
                    grad.mul_(factor)
        return tuple(
            None if grad is None or owner is None else grad.to(owner.dtype)
            for grad, owner in zip(grads, self.parameters, strict=True)
        )


def handed_on(weight_grad: Tensor | None, shared: SharedGradient | None) -> Tensor | None:
    """The head's gradient as autograd gets it: nothing if the lookup of the same weight will add its own to it."""
    if shared is None or not shared.looked_up:
        return weight_grad
    shared.from_head = weight_grad
    return None


@torch.enable_grad()
def value_and_slope(objective: Objective, logps: Float[Tensor, "n"]) -> tuple[Float[Tensor, ""], Float[Tensor, "n"]]:
    """Sum of the objective, and its derivative with respect to each log-probability."""
    logps = logps.detach().requires_grad_()
    value = objective(logps).sum()
    (slope,) = torch.autograd.grad(value, logps)
    return value.detach(), slope


class FusedObjective(Function):
    """Sum of a loss per token, with its gradient made tile by tile in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Float[Tensor, "N H"],
        weight: Float[Tensor, "V H"],
        bias: Float[Tensor, "V"] | None,
        targets: Int[Tensor, "N"],
        scale: LogitScale,
        temperature: float,
        extras: tuple[Extra, ...],
        dtype: torch.dtype,
        objective: Objective,
        needs: tuple[bool, bool, bool],
        shared: SharedGradient | None,
    ) -> tuple[Tensor, ...]:
        stats = hidden.new_zeros(3 + len(extras), len(targets), dtype=torch.float32)
        loss = hidden.new_zeros((), dtype=torch.float32)
        sums = Gradients(hidden, weight, bias, needs, dtype)
        cast_bias = None if bias is None else bias.to(dtype)
        for part, tile in tiles(sums.hidden, sums.weight, cast_bias, targets, scale, temperature, extras):
            stats[:, part] = tile.stats
            value, slope = value_and_slope(objective, tile.stats[0])
            loss += value
            if any(needs):
                sums.add(part, tile, tile.backward(slope))
        ctx.gradients, ctx.shared = sums, shared
        statistics = stats.unbind()
        ctx.mark_non_differentiable(*statistics)
        return loss, *statistics

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("The gradient of a fused objective can be taken once: its buffers are used in place.")
        sums, ctx.gradients = ctx.gradients, None
        hidden_grad, weight_grad, bias_grad = sums.finish(grad_loss)
        return hidden_grad, handed_on(weight_grad, ctx.shared), bias_grad, *(None,) * 8


class FusedScores(Function):
    """Differentiable log-probabilities and entropies; the backward pass makes each tile again."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Float[Tensor, "N H"],
        weight: Float[Tensor, "V H"],
        bias: Float[Tensor, "V"] | None,
        targets: Int[Tensor, "N"],
        scale: LogitScale,
        temperature: float,
        extras: tuple[Extra, ...],
        dtype: torch.dtype,
        shared: SharedGradient | None,
    ) -> tuple[Tensor, ...]:
        stats = hidden.new_zeros(3 + len(extras), len(targets), dtype=torch.float32)
        cast_bias = None if bias is None else bias.to(dtype)
        for part, tile in tiles(hidden.to(dtype), weight.to(dtype), cast_bias, targets, scale, temperature, extras):
            stats[:, part] = tile.stats
        ctx.save_for_backward(hidden, weight, bias, targets)
        ctx.options, ctx.shared = (scale, temperature, dtype), shared
        ctx.set_materialize_grads(False)
        logps, entropy, *rest = stats.unbind()
        ctx.mark_non_differentiable(*rest)
        return logps, entropy, *rest

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_logps: Tensor | None, grad_entropy: Tensor | None, *_: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets = ctx.saved_tensors
        scale, temperature, dtype = ctx.options
        if grad_logps is None:
            grad_logps = hidden.new_zeros(len(targets), dtype=torch.float32)
        sums = Gradients(hidden, weight, bias, tuple(ctx.needs_input_grad[:3]), dtype)
        cast_bias = None if bias is None else bias.to(dtype)
        for part, tile in tiles(sums.hidden, sums.weight, cast_bias, targets, scale, temperature):
            sums.add(part, tile, tile.backward(grad_logps[part], None if grad_entropy is None else grad_entropy[part]))
        hidden_grad, weight_grad, bias_grad = sums.finish()
        return hidden_grad, handed_on(weight_grad, ctx.shared), bias_grad, *(None,) * 6


def score_fused(
    hidden: Float[Tensor, "N H"],
    head: nn.Linear,
    targets: Int[Tensor, "N"],
    scale: LogitScale = LogitScale(),
    temperature: float = 1.0,
    objective: Objective | None = None,
    extras: tuple[Extra, ...] = (),
    shared: SharedGradient | None = None,
) -> tuple[Tensor | None, *tuple[Float[Tensor, "N"], ...]]:
    """Loss (with an objective), log-probability, entropy, top-1 hit and the extras of each target.

    Products are made in the autocast dtype if autocast is on, else in the dtype of the weights; sums in float32.
    """
    weight, bias = head.weight, head.bias
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
    dtype = torch.float32 if isinstance(head, Float32Head) else dtype
    options = (targets, scale, temperature, extras, dtype)
    with torch.autocast(device, enabled=False):
        if objective is None:
            return None, *FusedScores.apply(hidden, weight, bias, *options, shared)
        grad = torch.is_grad_enabled()
        needs = tuple(grad and tensor is not None and tensor.requires_grad for tensor in (hidden, weight, bias))
        return FusedObjective.apply(hidden, weight, bias, *options, objective, needs, shared)
