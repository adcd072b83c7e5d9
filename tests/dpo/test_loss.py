"""The losses against the papers' formulas as `formulas.py` writes them down, and what the papers say about them."""

import math
import re
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sternpost.dpo import config
from sternpost.dpo.contract import FDivergenceType, LossType
from sternpost.dpo.loss import (
    DIVERGENCES,
    LOSSES,
    Pairs,
    bco_shift,
    length_weights,
    preference_loss,
    wpo_weights,
)

from .formulas import SORTING, Options, compute_exactly

TABLE = Path(__file__).parents[2] / "docs" / "dpo.md"
LOGPS = ("chosen", "rejected", "ref_chosen", "ref_rejected")
DIFFERENTIABLE = (*LOGPS, "chosen_nll")
SMOOTHED = ("sigmoid", "hinge", "exo_pair", "robust", "aot", "aot_unpaired", "sigmoid_norm")
SCORED = ("sigmoid", "hinge", "ipo", "exo_pair", "robust", "discopop", "sigmoid_norm")
OF_MARGIN = ("sigmoid", "hinge", "ipo", "exo_pair", "robust", "discopop", "sigmoid_norm", "aot", "aot_unpaired")


# ---- Pairs to compare on


def make_pairs(size: int, seed: int, spread: float = 2.0) -> Pairs:
    """Pairs in general position, in float64: no two log-ratios alike, none where a slope jumps."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=generator, dtype=torch.float64)

    ref_chosen, ref_rejected = draw(-30, -5), draw(-30, -5)
    return Pairs(
        chosen=ref_chosen + draw(-spread, spread),
        rejected=ref_rejected + draw(-spread, spread),
        ref_chosen=ref_chosen,
        ref_rejected=ref_rejected,
        chosen_tokens=draw(1, 9).floor(),
        rejected_tokens=draw(1, 9).floor(),
        chosen_nll=draw(0, 30),
        mean_tokens=draw(1, 9).mean(),
        shift=draw(-1, 1).mean(),
    )


def make_extreme(*logratios: tuple[float, float], dtype: torch.dtype = torch.float32) -> Pairs:
    """Pairs with these log-ratios of the chosen and of the rejected answer."""
    chosen, rejected = torch.tensor(logratios, dtype=dtype).unbind(-1)
    zeros = torch.zeros_like(chosen)
    return Pairs(
        chosen=chosen,
        rejected=rejected,
        ref_chosen=zeros,
        ref_rejected=zeros,
        chosen_tokens=zeros + 3,
        rejected_tokens=zeros + 2,
        chosen_nll=zeros + 5,
        mean_tokens=torch.tensor(2.5, dtype=dtype),
        shift=torch.tensor(0.5, dtype=dtype),
    )


def at_reference(pairs: Pairs) -> Pairs:
    return replace(pairs, chosen=pairs.ref_chosen, rejected=pairs.ref_rejected)


def swapped(pairs: Pairs) -> Pairs:
    """What was chosen is rejected."""
    return replace(
        pairs,
        chosen=pairs.rejected,
        rejected=pairs.chosen,
        ref_chosen=pairs.ref_rejected,
        ref_rejected=pairs.ref_chosen,
        chosen_tokens=pairs.rejected_tokens,
        rejected_tokens=pairs.chosen_tokens,
    )


def scaled(pairs: Pairs, factor: float) -> Pairs:
    """All log-probabilities, and so all log-ratios, times `factor`."""
    return replace(pairs, **{name: getattr(pairs, name) * factor for name in LOGPS})


def permuted(pairs: Pairs, order: torch.Tensor, names: tuple[str, ...] = ()) -> Pairs:
    """The pairs in another order; with `names` only these fields."""
    vectors = names or [field.name for field in fields(pairs) if getattr(pairs, field.name).ndim]
    return replace(pairs, **{name: getattr(pairs, name)[order] for name in vectors})


def gradients(name: str, pairs: Pairs, o: Options) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Losses, and the slopes of their sum along each differentiable field."""
    leaves = {field: getattr(pairs, field).clone().requires_grad_() for field in DIFFERENTIABLE}
    losses = LOSSES[name](replace(pairs, **leaves), o)
    slopes = torch.autograd.grad(losses.sum(), list(leaves.values()), materialize_grads=True)
    return losses.detach(), dict(zip(leaves, slopes))


def assert_agrees(name: str, pairs: Pairs, o: Options, **tolerance: float) -> None:
    """Values and slopes are those of the formula."""
    losses, slopes = gradients(name, pairs, o)
    columns = {field.name: getattr(pairs, field.name).expand(len(pairs.chosen)).tolist() for field in fields(pairs)}
    rows = [{field: column[i] for field, column in columns.items()} for i in range(len(pairs.chosen))]
    values, exact_slopes = compute_exactly(name, rows, o, ("chosen", "rejected", "chosen_nll"))
    torch.testing.assert_close(losses, torch.tensor(values, dtype=losses.dtype), **tolerance)
    for field, exact in exact_slopes.items():
        torch.testing.assert_close(slopes[field], torch.tensor(exact, dtype=losses.dtype), **tolerance)


PAIRS = st.builds(make_pairs, st.integers(1, 4), st.integers(0, 2**32))
MANY = st.builds(make_pairs, st.integers(4, 7), st.integers(0, 2**32))
OPTIONS = st.builds(
    Options,
    beta=st.floats(0.05, 1),
    label_smoothing=st.floats(0.001, 0.45),
    discopop_tau=st.floats(0.05, 2),
    f_divergence_type=st.sampled_from(get_args(FDivergenceType)),
    f_alpha_divergence_coef=st.floats(-1, 3).filter(lambda a: abs(a - 1) > 1e-3),
)
PLAIN = OPTIONS.map(lambda o: replace(o, f_divergence_type="reverse_kl"))
FEW = settings(max_examples=15)
EVERY = pytest.mark.parametrize("name", get_args(LossType))


# ---- The tables


def test_tables_hold_the_declared_types():
    """Every `loss_type` and `f_divergence_type` of the contract has a function of its own, and nothing else has."""
    assert tuple(LOSSES) == get_args(LossType)
    assert tuple(DIVERGENCES) == get_args(FDivergenceType)
    assert [function.__name__ for function in (LOSSES | DIVERGENCES).values()] == [*LOSSES, *DIVERGENCES]


def test_documented_options_are_the_ones_that_are_read():
    """The table in docs/dpo.md lists every loss, with exactly the options that change it; DPOConfig knows them too."""
    rows = TABLE.read_text().split("|---|---|---|---|---|\n")[1].split("\n\n")[0].splitlines()
    documented = {row.split("`")[1]: set(re.findall(r"`(\w+)`", row.split(" | ")[-1])) for row in rows}
    pairs, o = make_pairs(5, seed=1), Options(f_divergence_type="alpha_divergence")
    changes = {"beta": 0.2, "label_smoothing": 0.2, "discopop_tau": 0.5, "f_divergence_type": "forward_kl"}
    changed = {option: replace(o, **{option: value}) for option, value in changes.items()}
    read = {
        name: {option for option, other in changed.items() if not same_loss(name, pairs, o, other)} for name in LOSSES
    }
    assert documented == read
    assert {name for name in LOSSES if "label_smoothing" in read[name]} == config.SMOOTHING
    assert {name for name in LOSSES if "f_divergence_type" in read[name] or not read[name]} == config.SCORING


def same_loss(name: str, pairs: Pairs, one: Options, other: Options) -> bool:
    return torch.equal(LOSSES[name](pairs, one), LOSSES[name](pairs, other))


# ---- Against the formulas


@EVERY
@FEW
@given(PAIRS, OPTIONS)
def test_loss_and_gradient_are_those_of_the_formula(name: str, pairs: Pairs, o: Options):
    """Value and slope along the policy's log-probabilities equal the paper's formula, for any options."""
    assert_agrees(name, pairs, o, rtol=1e-9, atol=1e-9)


@EVERY
def test_without_smoothing(name: str):
    """`label_smoothing=0` gives the plain loss; only `exo_pair` has none."""
    pairs, o = make_pairs(5, seed=2), Options(label_smoothing=0.0)
    if name == "exo_pair":
        with pytest.raises(ValueError, match=r"math domain error|positive"):
            LOSSES[name](pairs, o)
    else:
        assert_agrees(name, pairs, o, rtol=1e-9, atol=1e-9)


@EVERY
@settings(max_examples=3)
@given(PAIRS, OPTIONS)
def test_autograd_agrees_with_finite_differences(name: str, pairs: Pairs, o: Options):
    """The gradient is the one of the value that is returned, not of something detached on the way."""
    leaves = [getattr(pairs, field).clone().requires_grad_() for field in DIFFERENTIABLE]

    def losses(*values: torch.Tensor) -> torch.Tensor:
        return LOSSES[name](replace(pairs, **dict(zip(DIFFERENTIABLE, values))), o)

    assert torch.autograd.gradcheck(losses, leaves, eps=1e-7, atol=1e-4, rtol=1e-4)


@EVERY
@pytest.mark.parametrize("smoothing", [1e-3, 0.1])
def test_extreme_logratios(name: str, smoothing: float):
    """In float32 values and slopes stay finite, and right, where exponentials of the log-ratios long overflow."""
    o = Options(beta=1.0, label_smoothing=smoothing)
    for logratios in product((-1e4, -300.0, 0.0, 300.0, 1e4), (-1e4, 0.0, 1e4)):
        assert_agrees(name, make_extreme(logratios), o, rtol=1e-5, atol=1e-6)


# ---- Policy = reference


AT_REFERENCE = {
    "sigmoid": lambda o: math.log(2),
    "hinge": lambda o: 1.0,
    "ipo": lambda o: 1 / (4 * o.beta**2),
    "exo_pair": lambda o: -math.log(2) - math.log(o.label_smoothing * (1 - o.label_smoothing)) / 2,
    "nca_pair": lambda o: 2 * math.log(2),
    "robust": lambda o: math.log(2),
    "sppo_hard": lambda o: 1 / (2 * o.beta**2),
    "aot": lambda o: math.log(2),
    "aot_unpaired": lambda o: math.log(2),
    "apo_zero": lambda o: 1.0,
    "apo_down": lambda o: 1.0,
    "discopop": lambda o: (math.log(2) + 1) / 2,
    "sigmoid_norm": lambda o: math.log(2),
}


@pytest.mark.parametrize("name", AT_REFERENCE)
@given(MANY, OPTIONS)
@FEW
def test_policy_that_is_the_reference(name: str, pairs: Pairs, o: Options):
    """Before the first step the loss is a constant of the method, log 2 for DPO, whatever data and divergence."""
    losses = LOSSES[name](at_reference(pairs), o)
    torch.testing.assert_close(losses, torch.full_like(losses, AT_REFERENCE[name](o)))


@FEW
@given(MANY, OPTIONS)
def test_bco_of_the_reference_depends_on_the_shift_only(pairs: Pairs, o: Options):
    """With no rewards the running mean is 0, and the loss 2 log 2; a mean of d makes one answer look bad, one good."""
    pairs = at_reference(pairs)
    assert bco_shift(pairs, o) == 0
    losses = LOSSES["bco_pair"](replace(pairs, shift=bco_shift(pairs, o)), o)
    torch.testing.assert_close(losses, torch.full_like(losses, 2 * math.log(2)))
    assert (LOSSES["bco_pair"](replace(pairs, shift=torch.tensor(0.7, dtype=torch.float64)), o) > losses).all()


# ---- Symmetries


@pytest.mark.parametrize("name", SMOOTHED)
@given(MANY, OPTIONS, st.floats(0.01, 0.99).filter(lambda e: abs(e - 0.5) > 0.01))
@FEW
def test_swapped_answers_are_a_swapped_label(name: str, pairs: Pairs, o: Options, smoothing: float):
    """Swapping chosen and rejected is the same as being wrong with probability 1 - e instead of e."""
    losses = LOSSES[name](pairs, replace(o, label_smoothing=smoothing))
    mirrored = LOSSES[name](swapped(pairs), replace(o, label_smoothing=1 - smoothing))
    torch.testing.assert_close(losses.sort().values, mirrored.sort().values)


@pytest.mark.parametrize("name", sorted({*OF_MARGIN, "nca_pair", "bco_pair", "sppo_hard", "apo_zero"} - {"discopop"}))
@given(MANY, PLAIN)
@FEW
def test_swapping_the_answers_raises_the_loss_of_a_good_pair(name: str, pairs: Pairs, o: Options):
    """A policy that likes the chosen answer more than the reference does has the lower loss.

    Left out are `discopop`, which is not monotone, and `apo_down`, which wants both answers to fall.
    """
    gap = torch.linspace(0.5, 2, len(pairs.chosen), dtype=torch.float64)
    tokens = torch.full_like(gap, 3.0)
    good = replace(
        pairs,
        chosen=pairs.ref_chosen + gap,
        rejected=pairs.ref_rejected - gap,
        chosen_tokens=tokens,
        rejected_tokens=tokens,
        shift=torch.zeros_like(pairs.shift),
    )
    o = replace(o, beta=min(o.beta, 0.2), label_smoothing=min(o.label_smoothing, 0.1))
    assert (LOSSES[name](good, o) < LOSSES[name](swapped(good), o)).all()


@EVERY
@given(MANY, PLAIN, st.floats(0.2, 5))
@FEW
def test_beta_is_the_unit_of_the_logratios(name: str, pairs: Pairs, o: Options, factor: float):
    """Log-ratios twice as large with half the beta are the same rewards; the two squares are in units of 1/beta."""
    losses = LOSSES[name](pairs, o)
    power = 2 if name in ("ipo", "sppo_hard") else 0
    torch.testing.assert_close(
        LOSSES[name](scaled(pairs, factor), replace(o, beta=o.beta / factor)), losses * factor**power
    )


@EVERY
@given(MANY, OPTIONS, st.randoms(use_true_random=False))
@FEW
def test_order_of_the_pairs(name: str, pairs: Pairs, o: Options, random):
    """A pair has its loss wherever it stands; losses that sort are the same for every order."""
    order = torch.tensor(random.sample(range(len(pairs.chosen)), len(pairs.chosen)))
    losses = LOSSES[name](pairs, o)
    expected = losses if name in SORTING else losses[order]
    torch.testing.assert_close(LOSSES[name](permuted(pairs, order), o), expected)


@pytest.mark.parametrize(
    ("name", "together", "apart"),
    [
        ("aot", ("chosen", "rejected"), ("chosen", "ref_chosen")),
        ("aot_unpaired", ("chosen", "ref_chosen"), ("chosen", "rejected")),
    ],
)
@FEW
@given(MANY, OPTIONS)
def test_what_sorting_takes_apart(
    name: str, together: tuple[str, ...], apart: tuple[str, ...], pairs: Pairs, o: Options
):
    """`aot` keeps the two answers of a pair together, `aot_unpaired` each answer with its reference, and no more."""
    order = torch.arange(len(pairs.chosen)).roll(1)
    losses = LOSSES[name](pairs, o)
    torch.testing.assert_close(LOSSES[name](permuted(pairs, order, together), o), losses)
    assert not torch.allclose(LOSSES[name](permuted(pairs, order, apart), o), losses)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"aot", "aot_unpaired"}))
@given(MANY, OPTIONS)
@FEW
def test_other_pairs_do_not_matter(name: str, pairs: Pairs, o: Options):
    """The losses of a batch are those of its parts, so that micro-batches change nothing."""
    parts = [permuted(pairs, part) for part in (torch.tensor([0]), torch.arange(1, len(pairs.chosen)))]
    torch.testing.assert_close(torch.cat([LOSSES[name](part, o) for part in parts]), LOSSES[name](pairs, o))


@pytest.mark.parametrize("name", sorted(set(OF_MARGIN) - {"ipo", "sigmoid_norm"}))
@given(MANY, PLAIN, st.floats(-9, 9))
@FEW
def test_only_the_margin_counts(name: str, pairs: Pairs, o: Options, offset: float):
    """Making both answers equally more likely changes nothing."""
    moved = replace(pairs, chosen=pairs.chosen + offset, rejected=pairs.rejected + offset)
    torch.testing.assert_close(LOSSES[name](moved, o), LOSSES[name](pairs, o))


@FEW
@given(MANY, PLAIN)
def test_answers_of_equal_length_need_no_normalising(pairs: Pairs, o: Options):
    """With n tokens in every answer, `sigmoid_norm` is `sigmoid` with beta / n."""
    tokens = torch.full_like(pairs.chosen, 7.0)
    pairs = replace(pairs, chosen_tokens=tokens, rejected_tokens=tokens)
    torch.testing.assert_close(LOSSES["sigmoid_norm"](pairs, o), LOSSES["sigmoid"](pairs, replace(o, beta=o.beta / 7)))


@pytest.mark.parametrize("name", ["ipo", "sigmoid_norm"])
@pytest.mark.parametrize(("logratios", "empty"), [((0.0, -4.0), "chosen_tokens"), ((4.0, 0.0), "rejected_tokens")])
def test_answers_of_no_tokens(name: str, logratios: tuple[float, float], empty: str):
    """An answer that nothing is left of has a log-ratio of 0, not of 0/0."""
    pairs = make_extreme(logratios)
    losses = LOSSES[name](replace(pairs, **{empty: torch.zeros(1)}), Options())
    torch.testing.assert_close(losses, LOSSES[name](replace(pairs, **{empty: torch.ones(1)}), Options()))


# ---- What the papers prove


@FEW
@given(MANY, OPTIONS)
def test_robust_loss_is_unbiased(pairs: Pairs, o: Options):
    """Averaged over labels that are wrong with probability e, `robust` is `sigmoid` with the right labels."""
    e = o.label_smoothing
    mean = (1 - e) * LOSSES["robust"](pairs, o) + e * LOSSES["robust"](swapped(pairs), o)
    torch.testing.assert_close(mean, LOSSES["sigmoid"](pairs, replace(o, label_smoothing=0.0)))


@FEW
@given(MANY, PLAIN)
def test_bco_bounds_dpo(pairs: Pairs, o: Options):
    """Whatever the shift, `bco_pair` is above `sigmoid`."""
    assert (LOSSES["bco_pair"](pairs, o) > LOSSES["sigmoid"](pairs, replace(o, label_smoothing=0.0))).all()


@FEW
@given(MANY, PLAIN, st.floats(-3, 3))
def test_bco_looks_at_rewards_relative_to_their_mean(pairs: Pairs, o: Options, offset: float):
    """Rewards that are all higher by the same raise their mean by as much, and change no loss."""
    moved = replace(pairs, chosen=pairs.chosen + offset, rejected=pairs.rejected + offset)
    centred, moved = (replace(some, shift=bco_shift(some, o)) for some in (pairs, moved))
    torch.testing.assert_close(moved.shift, centred.shift + o.beta * offset)
    torch.testing.assert_close(LOSSES["bco_pair"](moved, o), LOSSES["bco_pair"](centred, o))


def test_bco_shift_is_the_mean_reward():
    """Half the mean reward of the chosen answers and half that of the rejected ones, with no gradient."""
    pairs = replace(
        make_pairs(3, seed=3), chosen=torch.tensor([-1.0, -2.0, -6.0], dtype=torch.float64).requires_grad_()
    )
    zeros = torch.zeros_like(pairs.ref_chosen)
    pairs = replace(pairs, rejected=zeros - 8, ref_chosen=zeros, ref_rejected=zeros)
    shift = bco_shift(pairs, Options(beta=0.5))
    assert shift == 0.5 * (-3 - 8) / 2
    assert not shift.requires_grad


def test_exo_is_least_where_the_policy_is_as_sure_as_the_labels():
    """`exo_pair` is a divergence: 0, with slope 0, where s(beta D) = 1 - e."""
    o = Options(beta=1.0, label_smoothing=0.2)
    losses, slopes = gradients("exo_pair", make_extreme((math.log(4), 0.0), dtype=torch.float64), o)
    torch.testing.assert_close(losses, torch.zeros_like(losses))
    torch.testing.assert_close(slopes["chosen"], torch.zeros_like(losses))


@FEW
@given(st.integers(2, 9), st.integers(0, 2**32), st.integers(1, 8))
def test_sft_is_the_mean_over_tokens(size: int, seed: int, cut: int):
    """Summed over micro-batches and divided by the pairs of the step, `sft` is the mean over all chosen tokens."""
    pairs = make_pairs(size, seed)
    pairs = replace(pairs, mean_tokens=pairs.chosen_tokens.mean())
    parts = [permuted(pairs, part) for part in torch.arange(size).tensor_split([min(cut, size)])]
    total = sum(LOSSES["sft"](part, Options()).sum() for part in parts)
    torch.testing.assert_close(total / size, pairs.chosen_nll.sum() / pairs.chosen_tokens.sum())


# ---- Divergences


def divergence(kind: str, t: torch.Tensor, a: float) -> torch.Tensor:
    """f(t), from the definitions, with f(1) = f'(1) = 0."""
    if kind == "reverse_kl":
        return t * t.log() - t + 1
    if kind == "forward_kl":
        return -t.log() + t - 1
    if kind == "js_divergence":
        return t * t.log() - (t + 1) * ((t + 1) / 2).log()
    return (t**a - a * t + a - 1) / (a * (a - 1))


@FEW
@given(PAIRS, OPTIONS)
def test_score_is_the_derivative_of_the_divergence(pairs: Pairs, o: Options):
    """Each score is f'(t) at t = exp(log-ratio), and 0 where policy and reference agree."""
    ratios = pairs.chosen_logratios.exp().requires_grad_()
    a = o.f_alpha_divergence_coef if abs(o.f_alpha_divergence_coef) > 1e-3 else 0.5
    o = replace(o, f_alpha_divergence_coef=a)
    values = divergence(o.f_divergence_type, ratios, a)
    (slope,) = torch.autograd.grad(values.sum(), ratios)
    score = DIVERGENCES[o.f_divergence_type]
    torch.testing.assert_close(score(ratios.detach().log(), o), slope, rtol=1e-6, atol=1e-9)
    assert not score(torch.zeros(2), o).any()


def test_alpha_divergence_ends_in_the_two_kl_divergences():
    """a = 0 is the forward KL, a = 1 the reverse KL, and nothing jumps on the way there."""
    logratios = torch.linspace(-4, 4, 9, dtype=torch.float64)
    for a, kind in [(0.0, "forward_kl"), (1.0, "reverse_kl"), (1 + 1e-9, "reverse_kl"), (1 - 1e-9, "reverse_kl")]:
        o = Options(f_alpha_divergence_coef=a)
        mine = DIVERGENCES["alpha_divergence"](logratios, o)
        torch.testing.assert_close(mine, DIVERGENCES[kind](logratios, o), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", DIVERGENCES)
@pytest.mark.parametrize("a", [-1.0, 0.0, 0.5, 0.9, 1.0, 1.5, 2.0])
def test_scores_rise_with_the_logratio(kind: str, a: float):
    """Scores are monotone in float32 over all log-ratios, and their slopes finite; the steep side never goes flat."""
    logratios = torch.linspace(-1e4, 1e4, 20001, requires_grad=True)
    scores = DIVERGENCES[kind](logratios, Options(f_alpha_divergence_coef=a))
    (slopes,) = torch.autograd.grad(scores.sum(), logratios)
    assert scores.isfinite().all()
    assert (scores.diff() >= 0).all()
    assert (slopes >= 0).all()
    assert slopes.isfinite().all()
    steep_side = logratios > 0 if kind == "alpha_divergence" and a > 1 else logratios < 0
    assert (slopes[steep_side] > 0).all()


@pytest.mark.parametrize("kind", DIVERGENCES)
@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("a", [0.0, 0.5, 1.5])
def test_extreme_logratios_of_every_divergence(kind: str, name: str, a: float):
    """No slope is ever NaN, and a margin that is won beyond doubt costs nothing where the formula's limit is 0."""
    o = Options(label_smoothing=1e-3, f_divergence_type=kind, f_alpha_divergence_coef=a)
    pairs = make_extreme((1e4, -1e4), (-1e4, 1e4), (1e4, 1e4), (-1e4, -1e4), (0.0, 1e4), (1e4, 0.0), (0.5, -1e4))
    losses, slopes = gradients(name, pairs, o)
    assert not losses.isnan().any()
    assert not any(slope.isnan().any() for slope in slopes.values())
    if name in ("sigmoid", "hinge", "sigmoid_norm", "discopop") and kind != "js_divergence":
        losses, slopes = gradients(name, make_extreme((1e4, -1e4)), replace(o, label_smoothing=0.0))
        assert losses.item() == 0
        assert not slopes["chosen"].any()
        assert not slopes["rejected"].any()


def test_moderate_answer_beside_an_extreme_one():
    """One score too large for a float leaves the slope along the other answer of the pair as it is."""
    o = Options(label_smoothing=0.0, f_divergence_type="forward_kl")
    _, slopes = gradients("sigmoid", make_extreme((-1e4, 1.0)), o)
    torch.testing.assert_close(slopes["rejected"], torch.tensor([o.beta * math.exp(-1)]))


@pytest.mark.parametrize("kind", ["forward_kl", "alpha_divergence"])
def test_lost_margin_still_pulls(kind: str):
    """Where the score is too large for a float it goes on growing: the pair that is most wrong has a gradient."""
    o = Options(label_smoothing=0.0, f_divergence_type=kind)
    losses, slopes = gradients("sigmoid", make_extreme((-1e4, 0.0)), o)
    assert losses.isfinite().all()
    assert slopes["chosen"].isfinite().all()
    assert (slopes["chosen"] < -1e6).all()


def test_scores_are_exact_below_the_bound():
    """The straight line begins where the exponential is 1e26, and not before."""
    logratios = torch.linspace(-math.log(1e26), 5, 50, dtype=torch.float64)
    expected = torch.tensor([1 - math.exp(-h) for h in logratios.tolist()], dtype=torch.float64)
    torch.testing.assert_close(DIVERGENCES["forward_kl"](logratios, Options()), expected, rtol=1e-12, atol=1e-12)


# ---- Several losses


@FEW
@given(MANY, PLAIN, st.lists(st.sampled_from(get_args(LossType)), min_size=1, max_size=4, unique=True), st.data())
def test_several_losses_are_their_weighted_sum(pairs: Pairs, o: Options, names: list[str], data):
    """`loss_weights` weighs each loss; without it each counts once."""
    weights = data.draw(st.lists(st.floats(0, 3), min_size=len(names), max_size=len(names)))
    each = {name: LOSSES[name](pairs, o) for name in names}
    expected = sum(weight * each[name] for name, weight in zip(names, weights))
    torch.testing.assert_close(preference_loss(pairs, o, names, weights), expected)
    torch.testing.assert_close(preference_loss(pairs, o, names), sum(each.values()))


@pytest.mark.parametrize("weights", [[], [1.0], [1.0, 2.0, 3.0]])
def test_a_weight_for_each_loss(weights: list[float]):
    """Too few or too many weights are refused, not cut off."""
    with pytest.raises(ValueError, match="argument"):
        preference_loss(make_pairs(2, seed=4), Options(), ["sigmoid", "sft"], weights)


# ---- Weights of pairs and tokens


def test_wpo_weighs_by_how_likely_the_policy_is_to_say_it():
    """exp of the mean over an answer's tokens of log p - log sum p^2, written out with probabilities; no gradient."""
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 11, dtype=torch.float64, requires_grad=True)
    ids, lengths = torch.randint(11, (2, 5)), [5, 3]
    probabilities = logits.softmax(-1)
    expected, logps, collisions = [], [], []
    for answer, length in enumerate(lengths):
        own = probabilities[answer, range(length), ids[answer, :length]]
        alike = probabilities[answer, :length].square().sum(-1)
        expected.append((own / alike).prod() ** (1 / length))
        logps.append(own.log().sum())
        collisions.append(alike.log().sum())
    tokens = torch.tensor(lengths, dtype=torch.float64)
    weights = wpo_weights(torch.stack(logps), torch.stack(collisions), tokens)
    torch.testing.assert_close(weights, torch.stack(expected).detach())
    assert not weights.requires_grad


@pytest.mark.parametrize("vocabulary", [1, 7, 1000])
def test_wpo_weight_of_an_even_distribution(vocabulary: int):
    """A policy that finds everything equally likely gives every answer the weight 1, however large its vocabulary.

    So does one that has nothing to say: an answer of no tokens.
    """
    tokens = torch.tensor([3.0, 4.0, 0.0])
    weights = wpo_weights(-tokens * math.log(vocabulary), -tokens * math.log(vocabulary), tokens)
    torch.testing.assert_close(weights, torch.ones(3))


@FEW
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4), st.floats(0, 1))
def test_length_weights(lengths: list[tuple[int, int]], alpha: float):
    """Tokens that both answers have a counterpart of count 1, the rest of the longer answer `alpha`."""
    places, common, expected = [], [], []
    for pair in lengths:
        for length in pair:
            places += range(length)
            common += [min(pair)] * length
            expected += [1.0] * min(pair) + [alpha] * (length - min(pair))
    weights = length_weights(torch.tensor(places), torch.tensor(common), alpha)
    torch.testing.assert_close(weights, torch.tensor(expected))
