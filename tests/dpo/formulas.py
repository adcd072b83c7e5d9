"""The formulas of the papers, a second time: one pair, one number at a time, in decimal arithmetic.

Sixty digits, and exponents of six: nothing overflows here, and steps of 1e-20 give exact slopes.
"""

from dataclasses import dataclass, fields, replace
from decimal import Decimal, localcontext
from typing import Any

DIGITS = 60
STEP = Decimal("1e-20")
SORTING = ("aot", "aot_unpaired")
"""Losses that look at all pairs of a batch."""

Row = dict[str, Decimal]
"""The fields of one pair."""


@dataclass(frozen=True)
class Options:
    """What a config gives to the losses: floats for the library, Decimals for the formulas."""

    beta: Any = 0.1
    label_smoothing: Any = 0.1
    discopop_tau: Any = 0.05
    f_divergence_type: Any = "reverse_kl"
    f_alpha_divergence_coef: Any = 0.5


def compute_exactly(name: str, rows: list[dict[str, float]], o: Options, along: tuple[str, ...]):
    """Loss of each pair, and for each field of `along` the slope of their sum along that field of each pair."""
    with localcontext() as context:
        context.prec = DIGITS
        exact = [{field: Decimal(value) for field, value in row.items()} for row in rows]
        o = replace(o, **{f.name: Decimal(getattr(o, f.name)) for f in fields(o) if f.name != "f_divergence_type"})
        losses = [float(loss) for loss in each_loss(name, exact, o)]
        return losses, {field: [slope(name, exact, o, i, field) for i in range(len(exact))] for field in along}


def slope(name: str, rows: list[Row], o: Options, i: int, field: str) -> float:
    """Slope of the summed loss along a field of pair i."""

    def total(step: Decimal) -> Decimal:
        moved = {**rows[i], field: rows[i][field] + step}
        beside = [*rows[:i], moved, *rows[i + 1 :]] if name in SORTING else [moved]
        return sum(each_loss(name, beside, o), Decimal(0))

    return float((total(STEP) - total(-STEP)) / (2 * STEP))


def each_loss(name: str, rows: list[Row], o: Options) -> list[Decimal]:
    """Loss of each pair; those that sort look at all of them."""
    if name == "aot":
        upper = sorted(row["chosen"] - row["rejected"] for row in rows)
        lower = sorted(row["ref_chosen"] - row["ref_rejected"] for row in rows)
    elif name == "aot_unpaired":
        upper = sorted(row["chosen"] - row["ref_chosen"] for row in rows)
        lower = sorted(row["rejected"] - row["ref_rejected"] for row in rows)
    else:
        return [pair_loss(name, row, o) for row in rows]
    return [smoothed(o.beta * (u - v), o.label_smoothing) for u, v in zip(upper, lower)]


def pair_loss(name: str, p: Row, o: Options) -> Decimal:
    """Loss of one pair from its log-probabilities and lengths."""
    b, e, d = o.beta, o.label_smoothing, p["shift"]
    h_w, h_l = p["chosen"] - p["ref_chosen"], p["rejected"] - p["ref_rejected"]
    r_w, r_l = b * h_w, b * h_l
    if name in ("nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down", "sft"):
        formulas = {
            "nca_pair": lambda: -logistic(r_w).ln() - logistic(-r_w).ln() / 2 - logistic(-r_l).ln() / 2,
            "bco_pair": lambda: -logistic(r_w - d).ln() - logistic(-(r_l - d)).ln(),
            "sppo_hard": lambda: (h_w - 1 / b / 2) ** 2 + (h_l + 1 / b / 2) ** 2,
            "apo_zero": lambda: (1 - logistic(r_w)) + logistic(r_l),
            "apo_down": lambda: logistic(r_w) + (1 - logistic(r_w - r_l)),
            "sft": lambda: p["chosen_nll"] / p["mean_tokens"],
        }
        return formulas[name]()
    s_w, s_l = score(h_w, o), score(h_l, o)
    x, per_token = b * (s_w - s_l), s_w / p["chosen_tokens"] - s_l / p["rejected_tokens"]
    formulas = {
        "sigmoid": lambda: smoothed(x, e),
        "hinge": lambda: (1 - e) * max(Decimal(0), 1 - x) + e * max(Decimal(0), 1 + x),
        "ipo": lambda: (per_token - 1 / (2 * b)) ** 2,
        "exo_pair": lambda: exo(logistic(x), logistic(-x), e),
        "robust": lambda: ((1 - e) * -logistic(x).ln() - e * -logistic(-x).ln()) / (1 - 2 * e),
        "discopop": lambda: discopop(x, logistic(x / o.discopop_tau)),
        "sigmoid_norm": lambda: smoothed(b * per_token, e),
    }
    return formulas[name]()


def score(h: Decimal, o: Options) -> Decimal:
    """f'(t) with t = exp(h)."""
    t, a = h.exp(), o.f_alpha_divergence_coef
    if o.f_divergence_type == "forward_kl":
        return 1 - 1 / t
    if o.f_divergence_type == "js_divergence":
        return (2 * t / (1 + t)).ln()
    if o.f_divergence_type == "alpha_divergence":
        return (t ** (a - 1) - 1) / (a - 1)
    return h


def logistic(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def smoothed(x: Decimal, e: Decimal) -> Decimal:
    return -(1 - e) * logistic(x).ln() - e * logistic(-x).ln()


def exo(p: Decimal, q: Decimal, e: Decimal) -> Decimal:
    """KL of (p, q) to (1 - e, e)."""
    return p * (p / (1 - e)).ln() + q * (q / e).ln()


def discopop(x: Decimal, m: Decimal) -> Decimal:
    return (1 - m) * (1 + (-x).exp()).ln() + m * (-x).exp()
