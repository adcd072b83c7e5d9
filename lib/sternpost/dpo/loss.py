"""The losses of preference learning: log-probabilities of the two answers of each pair -> the loss of the pair.

The trainer divides their sum by the number of pairs of the whole optimizer step, over all ranks and micro-batches, so
that accumulation and data parallelism do not change the result. The exceptions are `aot` and `aot_unpaired`, which sort
the pairs of a micro-batch.

In the formulas, w is the chosen answer and l the rejected one; h = log pi(y|x) - log pi_ref(y|x) is the log-ratio of an
answer, r = beta h its implicit reward, D = h_w - h_l the margin, n the length in tokens, s the logistic function, e
`label_smoothing`. Where a loss reads `f_divergence_type`, its h is the score of that divergence.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from .contract import FDivergenceType

MAX_EXPONENT = 60.0
"""Above it `bounded_expm1` goes on as a straight line: exp(60) times a log-ratio of 1e4 still is a float32."""


@runtime_checkable
class LossOptions(Protocol):
    """What the losses read of `DPOConfig`, which documents it."""

    @property
    def beta(self) -> float: ...
    @property
    def label_smoothing(self) -> float: ...
    @property
    def discopop_tau(self) -> float: ...
    @property
    def f_divergence_type(self) -> FDivergenceType: ...
    @property
    def f_alpha_divergence_coef(self) -> float: ...


@dataclass(frozen=True)
class Pairs:
    """P pairs of answers. Log-probabilities are sums over the tokens of an answer, weighted if `ld_alpha` is set."""

    chosen: Float[Tensor, "P"]
    rejected: Float[Tensor, "P"]
    ref_chosen: Float[Tensor, "P"]
    ref_rejected: Float[Tensor, "P"]
    chosen_tokens: Float[Tensor, "P"]
    rejected_tokens: Float[Tensor, "P"]
    chosen_nll: Float[Tensor, "P"]
    """Negative log-likelihood of the chosen answer, never weighted; read by `sft`."""
    mean_tokens: Float[Tensor, ""]
    """Mean length of the chosen answers of the whole optimizer step; read by `sft`."""
    shift: Float[Tensor, ""]
    """Running mean of the rewards; read by `bco_pair`."""

    @property
    def chosen_logratios(self) -> Float[Tensor, "P"]:
        return self.chosen - self.ref_chosen

    @property
    def rejected_logratios(self) -> Float[Tensor, "P"]:
        return self.rejected - self.ref_rejected


PairLoss = Callable[[Pairs, LossOptions], Float[Tensor, "P"]]
Divergence = Callable[[Float[Tensor, "P"], LossOptions], Float[Tensor, "P"]]

# ---- What holds the policy to the reference: f-DPO, https://huggingface.co/papers/2309.16240. The score of an answer
# is f'(t), where t = pi/pi_ref and f'(1) = 0.


def reverse_kl(logratios: Float[Tensor, "P"], options: LossOptions) -> Float[Tensor, "P"]:
    """`f'(t) = log t`: plain DPO."""
    return logratios


def forward_kl(logratios: Float[Tensor, "P"], options: LossOptions) -> Float[Tensor, "P"]:
    """`f'(t) = 1 - 1/t`."""
    return -bounded_expm1(-logratios)


def js_divergence(logratios: Float[Tensor, "P"], options: LossOptions) -> Float[Tensor, "P"]:
    """`f'(t) = log(2t / (1 + t))`, at most log 2."""
    return math.log(2) + logsigmoid(logratios)


def alpha_divergence(logratios: Float[Tensor, "P"], options: LossOptions) -> Float[Tensor, "P"]:
    """`f'(t) = (t^(a - 1) - 1) / (a - 1)` with a = `f_alpha_divergence_coef`.

    The paper counts from the other end: its alpha is 1 - a. The limit a = 1 is the reverse KL, a = 0 the forward KL.
    """
    power = options.f_alpha_divergence_coef - 1
    return bounded_expm1(power * logratios) / power if power else logratios


def bounded_expm1(x: Float[Tensor, "P"]) -> Float[Tensor, "P"]:
    """`exp(x) - 1`; above `MAX_EXPONENT` the tangent from there, whose slope neither overflows nor vanishes."""
    slope = math.exp(MAX_EXPONENT)
    return torch.where(x > MAX_EXPONENT, slope * (x - MAX_EXPONENT) + slope, x.clamp(max=MAX_EXPONENT).expm1())


DIVERGENCES: dict[str, Divergence] = {
    "reverse_kl": reverse_kl,
    "forward_kl": forward_kl,
    "js_divergence": js_divergence,
    "alpha_divergence": alpha_divergence,
}
"""`f_divergence_type` -> score of an answer from its log-ratio."""


# ---- Terms that several losses share


def score_answers(pairs: Pairs, options: LossOptions) -> tuple[Float[Tensor, "P"], Float[Tensor, "P"]]:
    """Scores of the chosen and of the rejected answers: their log-ratios, unless `f_divergence_type` says otherwise."""
    score = DIVERGENCES[options.f_divergence_type]
    return score(pairs.chosen_logratios, options), score(pairs.rejected_logratios, options)


def reward_answers(pairs: Pairs, options: LossOptions) -> tuple[Float[Tensor, "P"], Float[Tensor, "P"]]:
    """Implicit rewards of the chosen and of the rejected answers, `r = beta h`."""
    return options.beta * pairs.chosen_logratios, options.beta * pairs.rejected_logratios


def scaled_margin(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """`beta D`."""
    chosen, rejected = score_answers(pairs, options)
    return options.beta * (chosen - rejected)


def margin_per_token(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """`h_w / n_w - h_l / n_l`; an answer of no tokens has no log-ratio, and counts as one of length 1."""
    chosen, rejected = score_answers(pairs, options)
    return chosen / pairs.chosen_tokens.clamp(min=1) - rejected / pairs.rejected_tokens.clamp(min=1)


def smoothed_nll(logits: Float[Tensor, "P"], smoothing: float) -> Float[Tensor, "P"]:
    """`-(1 - e) log s(x) - e log s(-x)`: cross-entropy with a label that is wrong with probability e."""
    return -(1 - smoothing) * logsigmoid(logits) - smoothing * logsigmoid(-logits)


# ---- Losses


def sigmoid(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """DPO: `-log s(beta D)`, https://huggingface.co/papers/2305.18290, eq. 7.

    With `label_smoothing`, conservative DPO: `-(1 - e) log s(beta D) - e log s(-beta D)`, eq. 3 of
    https://ericmitchell.ai/cdpo.pdf.
    """
    return smoothed_nll(scaled_margin(pairs, options), options.label_smoothing)


def hinge(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """Hinge: `max(0, 1 - beta D)`, hinge-norm of RSO, https://huggingface.co/papers/2309.06657, after SLiC-HF,
    https://huggingface.co/papers/2305.10425.

    With `label_smoothing` its mean under labels that are wrong with probability e: `(1 - e) max(0, 1 - beta D) +
    e max(0, 1 + beta D)`.
    """
    margin = scaled_margin(pairs, options)
    smoothing = options.label_smoothing
    return (1 - smoothing) * torch.relu(1 - margin) + smoothing * torch.relu(1 + margin)


def ipo(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """IPO: `(h_w / n_w - h_l / n_l - 1 / (2 beta))^2`, https://huggingface.co/papers/2310.12036, eq. 17.

    The equation has sums where means per token stand here: with sums the target, which does not depend on the length,
    is a different one for every length.
    """
    return (margin_per_token(pairs, options) - 1 / (2 * options.beta)).square()


def exo_pair(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """EXO for pairs: KL of (s(beta D), s(-beta D)) to (1 - e, e), https://huggingface.co/papers/2402.00856, eq. 16.

    Raises:
        ValueError: `label_smoothing` is 0, where the divergence is infinite.
    """
    margin = scaled_margin(pairs, options)
    chosen = margin.sigmoid() * (logsigmoid(margin) - math.log1p(-options.label_smoothing))
    rejected = (-margin).sigmoid() * (logsigmoid(-margin) - math.log(options.label_smoothing))
    return chosen + rejected


def nca_pair(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """NCA: `-log s(r_w) - (log s(-r_w) + log s(-r_l)) / 2`, https://huggingface.co/papers/2402.05369, section 4.1."""
    chosen, rejected = reward_answers(pairs, options)
    return -logsigmoid(chosen) - (logsigmoid(-chosen) + logsigmoid(-rejected)) / 2


def robust(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """Robust DPO: `(-(1 - e) log s(beta D) + e log s(-beta D)) / (1 - 2e)`, whose mean over labels that are wrong with
    probability e < 1/2 is the loss of the right labels, https://huggingface.co/papers/2403.00409, section 3.1.
    """
    margin, smoothing = scaled_margin(pairs, options), options.label_smoothing
    return (smoothing * logsigmoid(-margin) - (1 - smoothing) * logsigmoid(margin)) / (1 - 2 * smoothing)


def bco_pair(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """BCO for pairs: `-log s(r_w - d) - log s(-(r_l - d))`, d the running mean of the rewards (`bco_shift`),
    https://huggingface.co/papers/2404.04656, section 4.
    """
    chosen, rejected = reward_answers(pairs, options)
    return -logsigmoid(chosen - pairs.shift) - logsigmoid(pairs.shift - rejected)


def bco_shift(pairs: Pairs, options: LossOptions) -> Float[Tensor, ""]:
    """Mean reward of these pairs, `(mean r_w + mean r_l) / 2`, which BCO's running mean d is made of. No gradient."""
    chosen, rejected = reward_answers(pairs, options)
    return ((chosen.mean() + rejected.mean()) / 2).detach()


def sppo_hard(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """SPPO with certain preferences: `(h_w - 1 / (2 beta))^2 + (h_l + 1 / (2 beta))^2`,
    https://huggingface.co/papers/2405.00675, eq. 4.7 with P = 1 for the chosen answer, 0 for the rejected one, and
    beta = 1 / eta.
    """
    target = 1 / (2 * options.beta)
    return (pairs.chosen_logratios - target).square() + (pairs.rejected_logratios + target).square()


def aot(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """AOT for pairs: `-log s(beta (u_i - v_i))`, u_i the i-th smallest log pi(w) - log pi(l) of the micro-batch and v_i
    the same of the reference, https://huggingface.co/papers/2406.05882, section 3. Smoothed as `sigmoid`.
    """
    policy, reference = pairs.chosen - pairs.rejected, pairs.ref_chosen - pairs.ref_rejected
    return smoothed_nll(options.beta * (policy.sort().values - reference.sort().values), options.label_smoothing)


def aot_unpaired(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """AOT without pairs: `-log s(beta (u_i - v_i))`, u_i the i-th smallest h_w of the micro-batch and v_i the i-th
    smallest h_l, https://huggingface.co/papers/2406.05882, section 3. Smoothed as `sigmoid`.
    """
    chosen, rejected = pairs.chosen_logratios.sort().values, pairs.rejected_logratios.sort().values
    return smoothed_nll(options.beta * (chosen - rejected), options.label_smoothing)


def apo_zero(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """APO-zero: `(1 - s(r_w)) + s(r_l)`, https://huggingface.co/papers/2408.06266, eq. 7, plus 1."""
    chosen, rejected = reward_answers(pairs, options)
    return (-chosen).sigmoid() + rejected.sigmoid()


def apo_down(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """APO-down: `s(r_w) + (1 - s(r_w - r_l))`, https://huggingface.co/papers/2408.06266, eq. 8, plus 1."""
    chosen, rejected = reward_answers(pairs, options)
    return chosen.sigmoid() + (rejected - chosen).sigmoid()


def discopop(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """DiscoPOP: `-(1 - m) log s(beta D) + m exp(-beta D)` with m = s(beta D / tau),
    https://huggingface.co/papers/2406.08414, eq. 5.
    """
    margin = scaled_margin(pairs, options)
    modulation = margin / options.discopop_tau
    # The exponential alone overflows where m has long vanished.
    return (logsigmoid(modulation) - margin).exp() - (-modulation).sigmoid() * logsigmoid(margin)


def sft(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """The chosen answer's negative log-likelihood, by the mean length of the chosen answers of the optimizer step: its
    mean over pairs is the mean over tokens. The term that https://huggingface.co/papers/2404.19733 and
    https://huggingface.co/papers/2405.16436 add to `sigmoid`.
    """
    return pairs.chosen_nll / pairs.mean_tokens


def sigmoid_norm(pairs: Pairs, options: LossOptions) -> Float[Tensor, "P"]:
    """Length-normalised DPO: `-log s(beta (h_w / n_w - h_l / n_l))`, https://huggingface.co/papers/2411.15124 (Tülu 3).
    Smoothed as `sigmoid`.
    """
    return smoothed_nll(options.beta * margin_per_token(pairs, options), options.label_smoothing)


LOSSES: dict[str, PairLoss] = {
    "sigmoid": sigmoid,
    "hinge": hinge,
    "ipo": ipo,
    "exo_pair": exo_pair,
    "nca_pair": nca_pair,
    "robust": robust,
    "bco_pair": bco_pair,
    "sppo_hard": sppo_hard,
    "aot": aot,
    "aot_unpaired": aot_unpaired,
    "apo_zero": apo_zero,
    "apo_down": apo_down,
    "discopop": discopop,
    "sft": sft,
    "sigmoid_norm": sigmoid_norm,
}
"""`loss_type` -> loss per pair."""


def preference_loss(
    pairs: Pairs, options: LossOptions, loss_types: Sequence[str], weights: Sequence[float] | None = None
) -> Float[Tensor, "P"]:
    """Weighted sum of losses, as in MPO (https://huggingface.co/papers/2411.10442); without weights each counts 1."""
    weights = [1.0] * len(loss_types) if weights is None else weights
    terms = [weight * LOSSES[name](pairs, options) for name, weight in zip(loss_types, weights, strict=True)]
    return torch.stack(terms).sum(dim=0)


# ---- What weighs pairs and tokens


def wpo_weights(
    logps: Float[Tensor, "A"], log_collisions: Float[Tensor, "A"], tokens: Float[Tensor, "A"]
) -> Float[Tensor, "A"]:
    """WPO: `exp(mean_t(log p_t - log sum_v p_v^2))`, the weights of A answers, with sampled alignment;
    https://huggingface.co/papers/2406.11827, eq. 2.

    The loss of a pair is multiplied by the weights of both its answers. No gradient.

    Args:
        logps: Log-probabilities, summed over the tokens of an answer.
        log_collisions: `log sum_v p_v^2` over the vocabulary, summed likewise.
        tokens: Lengths of the answers.
    """
    return ((logps - log_collisions) / tokens.clamp(min=1)).exp().detach()


def length_weights(places: Int[Tensor, "N"], common: Int[Tensor, "N"], alpha: float) -> Float[Tensor, "N"]:
    """LD-DPO: what the log-probabilities of N tokens count: 1 up to the length that both answers of the pair have,
    `alpha` after it; https://huggingface.co/papers/2409.06411.

    Args:
        places: Place of each token in its answer, from 0.
        common: Length of the shorter answer of each token's pair.
    """
    return torch.where(places < common, 1.0, alpha)
