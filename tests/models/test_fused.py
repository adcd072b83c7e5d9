"""The fused and the tiled scorer compute what the plain one computes, whatever the shape."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sternpost.models import fused, tiled
from sternpost.models.fused import score_fused
from sternpost.models.scores import LogitScale, score_plain
from sternpost.models.tiled import score_tiled
from sternpost.sft.loss import LOSSES

EXTRAS = ["mean_logit", "log_collision"]
SCALES = st.builds(LogitScale, st.sampled_from([1.0, 0.25, 3.0]), st.sampled_from([None, 2.0, 30.0]))


@st.composite
def problems(draw):
    """A head, hidden states and targets of drawn sizes, with tiles and blocks smaller than them."""
    positions, hidden, vocabulary = draw(st.integers(0, 23)), draw(st.integers(1, 9)), draw(st.integers(2, 40))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    head = nn.Linear(hidden, vocabulary, bias=draw(st.booleans()))
    states = torch.randn(positions, hidden) * draw(st.sampled_from([0.1, 1.0, 5.0]))
    targets = torch.randint(0, vocabulary, (positions,))
    sizes = {"TILE_ELEMENTS": draw(st.integers(1, 400)), "MIN_TILE_ROWS": draw(st.integers(1, 7))}
    sizes["BLOCK_ELEMENTS"] = draw(st.integers(1, 200))
    return head, states, targets, sizes, draw(st.integers(1, 9))


@pytest.fixture(scope="module")
def small_tiles():
    patch = pytest.MonkeyPatch()

    def shrink(sizes, rows):
        for name, value in sizes.items():
            patch.setattr(fused, name, value)
        patch.setattr(tiled, "TILE_ROWS", rows)

    yield shrink
    patch.undo()


def clear_of_ties(head, states, targets, scale):
    """One where a label is clearly the likeliest token or clearly not: closer to a tie, rounding decides on top-1."""
    logits = scale(head(states).detach())
    label = logits.gather(-1, targets.unsqueeze(-1))
    rivals = logits.scatter(-1, targets.unsqueeze(-1), -torch.inf).amax(-1, keepdim=True)
    return ((label - rivals).abs() > 1e-4).squeeze(-1).float()


def values_and_gradients(scores, states, head, weigh, clear=1):
    """Loss, statistics and gradients of `weigh(scores(states))`; top-1 only where `clear` is one."""
    states = states.clone().requires_grad_()
    head.zero_grad()
    results = scores(states)
    loss = weigh(results)
    loss.backward()
    logps, entropies, top1 = results[-3:]
    return [loss, logps, entropies, top1 * clear, states.grad, *(parameter.grad for parameter in head.parameters())]


def assert_all_close(ours, plain, rtol=1e-4, atol=2e-5):
    for left, right in zip(ours, plain, strict=True):
        left = torch.zeros_like(right) if left is None else left
        torch.testing.assert_close(left.detach(), right.detach(), rtol=rtol, atol=atol)


@settings(max_examples=60, deadline=None)
@given(
    problem=problems(),
    scale=SCALES,
    temperature=st.sampled_from([1.0, 0.7, 2.0]),
    loss_type=st.sampled_from(list(LOSSES)),
)
def test_objective_equals_plain(small_tiles, problem, scale, temperature, loss_type):
    """With a loss per token, value, statistics and every gradient equal plain autograd through all logits."""
    head, states, targets, sizes, rows = problem
    small_tiles(sizes, rows)
    objective = LOSSES[loss_type]

    def plain(hidden):
        return score_plain(hidden, head, targets, scale, temperature)

    clear = clear_of_ties(head, states, targets, scale)
    expected = values_and_gradients(plain, states, head, lambda results: 1.5 * objective(results[0]).sum(), clear)
    for score in (score_fused, score_tiled):
        ours = values_and_gradients(
            lambda hidden, score=score: score(hidden, head, targets, scale, temperature, objective),
            states, head, lambda results: 1.5 * results[0], clear,
        )  # fmt: skip
        assert_all_close(ours, expected)


@settings(max_examples=60, deadline=None)
@given(problem=problems(), scale=SCALES, temperature=st.sampled_from([1.0, 0.7, 2.0]), entropy=st.booleans())
def test_differentiable_scores_equal_plain(small_tiles, problem, scale, temperature, entropy):
    """Without one, log-probabilities and entropies carry the gradients that plain autograd gives them."""
    head, states, targets, sizes, rows = problem
    small_tiles(sizes, rows)
    weights = torch.linspace(-1, 2, len(targets))

    def weigh(results):
        logps, entropies, _ = results[-3:]
        return (weights * logps).sum() + (weights.flip(0) * entropies).sum() * entropy

    def plain(hidden):
        return score_plain(hidden, head, targets, scale, temperature)

    clear = clear_of_ties(head, states, targets, scale)
    expected = values_and_gradients(plain, states, head, weigh, clear)
    for score in (score_fused, score_tiled):
        ours = values_and_gradients(
            lambda hidden, score=score: score(hidden, head, targets, scale, temperature), states, head, weigh, clear
        )
        assert_all_close(ours, expected)


@settings(max_examples=40, deadline=None)
@given(
    problem=problems(), scale=SCALES, extras=st.permutations(["mean_logit", "log_collision"]), count=st.integers(0, 2)
)
def test_extras_equal_plain(small_tiles, problem, scale, extras, count):
    """Statistics that are asked for come in the order asked for, from every scorer, with and without an objective."""
    head, states, targets, sizes, rows = problem
    small_tiles(sizes, rows)
    asked = tuple(extras[:count])
    expected = score_plain(states, head, targets, scale, extras=asked)
    assert len(expected) == 3 + count
    for score in (score_fused, score_tiled):
        for objective in (None, LOSSES["nll"]):
            _, *ours = score(states, head, targets, scale, objective=objective, extras=asked)
            assert len(ours) == len(expected)
            assert_all_close(ours[3:], expected[3:])


@pytest.mark.parametrize("objective", [None, LOSSES["nll"]], ids=["scores", "objective"])
def test_bfloat16_products_keep_float32_sums(objective):
    """Under autocast, results stay within bfloat16 rounding of float32, and gradients have the weights' dtype."""
    torch.manual_seed(0)
    head = nn.Linear(32, 300, bias=False)
    states, targets = torch.randn(40, 32), torch.randint(0, 300, (40,))

    def weigh(results):
        return -results[-3].sum() if objective is None else results[0]

    def ours(hidden):
        with torch.autocast("cpu", torch.bfloat16):
            return score_fused(hidden, head, targets, objective=objective)

    got = values_and_gradients(ours, states, head, weigh)
    expected = values_and_gradients(
        lambda hidden: score_plain(hidden, head, targets), states, head, lambda results: -results[0].sum()
    )
    assert head.weight.grad.dtype == torch.float32
    assert_all_close(got[:3] + got[4:], expected[:3] + expected[4:], rtol=0.03, atol=0.05)


def test_frozen_head_gets_no_gradient():
    """A head that is not trained costs no weight gradient, and the hidden states still get theirs."""
    torch.manual_seed(0)
    head = nn.Linear(8, 50, bias=False).requires_grad_(False)
    states = torch.randn(6, 8, requires_grad=True)
    loss, *_ = score_fused(states, head, torch.arange(6), objective=LOSSES["nll"])
    loss.backward()
    assert head.weight.grad is None
    assert states.grad.abs().sum() > 0


def test_objective_gradient_is_taken_once():
    """A second backward pass through the same loss is an error, not a wrong gradient."""
    states = torch.randn(3, 4, requires_grad=True)
    loss, *_ = score_fused(states, nn.Linear(4, 9), torch.arange(3), objective=LOSSES["nll"])
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        loss.backward()


def test_never_holds_all_logits(monkeypatch):
    """The largest tensor that the fused scorer makes has the size of a tile, not of all logits."""
    monkeypatch.setattr(fused, "TILE_ELEMENTS", 16 * 1000)
    head, states = nn.Linear(4, 1000, bias=False), torch.randn(512, 4, requires_grad=True)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel())
            return result

    with Watch():
        loss, *_ = score_fused(states, head, torch.randint(0, 1000, (512,)), objective=LOSSES["nll"])
        loss.backward()
    assert largest <= 16 * 1000
