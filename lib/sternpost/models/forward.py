"""Teaches a causal language model to answer with [`TokenScores`] instead of logits.

`enable_scoring(model)` once, then `model(**batch, score=ScoreRequest(labels))`. The request travels through whatever
wraps the model (adapters, DDP, FSDP, DeepSpeed), so their hooks run as always; without `score=` it is unchanged.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..data.batches import RowLengths, positions, predecessors
from .attention import NAME, end_to_end, may_branch, may_keep_rows_apart, rows_arguments
from .fused import score_fused
from .head import Float32Head
from .router import load_balancing_loss
from .scores import IGNORE, LogitScale, ScoreRequest, TokenScores, score_plain
from .tied import SharedGradient, shared_gradient
from .tiled import is_sharded, score_tiled

logger = logging.getLogger(__name__)

MULTIPLIERS = ("logit_scale", "lm_head_multiplier", "output_multiplier")
DIVISORS = ("logits_scaling",)
"""Names under which model configs keep the factor of their logits."""

Measure: TypeAlias = Callable[[PreTrainedModel, dict[str, Any], list[list[int]]], list[Tensor]]
"""What a model says about each of the rows in a batch of one sequence, given the places of their tokens."""


def enable_scoring(model: PreTrainedModel) -> None:
    """Let `model.forward` accept `score=ScoreRequest(...)`. `model` is a causal language model without wrappers.

    Raises:
        ValueError: the model has no output head, or what it computes from the head is unknown to us.
    """
    if not isinstance(model.get_output_embeddings(), nn.Module):
        raise ValueError(
            f"{type(model).__name__} has no output head that scores tokens. Use a causal language model, or pass your "
            "own `scorer` to the trainer."
        )
    model.forward = MethodType(scoring_forward, model)  # a bound method, so that copies of the model get their own
    if can_check(model):
        check_scores(model)


def scoring_forward(
    self: PreTrainedModel,
    *args: Any,
    score: ScoreRequest | None = None,
    seq_lengths: RowLengths | None = None,
    **kwargs: Any,
) -> Any:
    """The model's own forward, or token scores if they are asked for."""
    layout = {} if seq_lengths is None else rows_arguments(self, seq_lengths, kwargs["input_ids"].device)
    with end_to_end(seq_lengths is not None):
        if score is None:
            return type(self).forward(self, *args, **kwargs, **layout)
        kwargs = {name: value for name, value in kwargs.items() if value is not None and name != "labels"}
        if score.router:
            kwargs["output_router_logits"] = True
        head = self.get_output_embeddings()
        with shared_gradient(self.get_input_embeddings(), head) as shared:
            body = self.base_model(*args, **{**kwargs, "use_cache": False}, **layout)
    scores = score_hidden(body.last_hidden_state, head, score, logit_scale(self), shared, seq_lengths)
    if score.router:
        top_k = self.config.get_text_config().num_experts_per_tok
        scores.aux_loss = load_balancing_loss(body.router_logits, top_k, kwargs.get("attention_mask"))
    return scores


def score_hidden(
    hidden: Tensor,
    head: nn.Module,
    request: ScoreRequest,
    scale: LogitScale,
    shared: SharedGradient | None = None,
    lengths: RowLengths | None = None,
) -> TokenScores:
    """Score the labels of a request from hidden states `[B, S, H]`; only positions with a label go through the head."""
    hidden = hidden[:, -request.labels.size(1) :]  # prompt tuning puts virtual tokens in front
    keep = request.labels[:, 1:] != IGNORE
    if lengths is None or all(isinstance(length, int) for length in lengths):
        predicting = hidden[:, :-1][keep]
    else:
        before = predecessors(lengths).to(hidden.device, non_blocking=True)
        predicting = hidden[0].index_select(0, before[1:][keep[0]])
    options = (request.labels[:, 1:][keep], scale, request.temperature, request.objective, request.extras)
    if isinstance(head, nn.Linear) and type(head) in (nn.Linear, Float32Head) and not is_sharded(head.weight):
        loss, *stats = score_fused(predicting, head, *options, shared)
    else:
        loss, *stats = score_tiled(predicting, head, *options)
    logps, entropy, top1, *extras = (
        torch.zeros(keep.shape, device=keep.device).masked_scatter(keep, stat) for stat in stats
    )
    return TokenScores(loss, logps, entropy, top1, keep.float(), **dict(zip(request.extras, extras, strict=True)))


def logit_scale(model: PreTrainedModel) -> LogitScale:
    """What this model does to the output of its head, as its config says."""
    config = model.config.get_text_config()
    scale = 1.0
    for name in MULTIPLIERS:
        scale *= getattr(config, name, None) or 1.0
    for name in DIVISORS:
        scale /= getattr(config, name, None) or 1.0
    return LogitScale(scale, getattr(config, "final_logit_softcapping", None))


def can_check(model: PreTrainedModel) -> bool:
    """Whether the model's weights are here, whole."""
    return not any(weight.is_meta or is_sharded(weight) for weight in model.parameters())


def differ(ours: Tensor, theirs: Tensor) -> bool:
    """Whether two computations of the same log-probabilities disagree by more than rounding."""
    tolerance = 1e-3 if ours.dtype == theirs.dtype == torch.float32 else 0.1
    return not torch.allclose(ours.float(), theirs.float(), atol=tolerance, rtol=tolerance)


@contextmanager
def probing(model: PreTrainedModel) -> Iterator[Tensor]:
    """A few tokens to try a model with, in evaluation mode and without gradients."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield torch.tensor([[1, 2, 3, 4, 1, 3]], device=model.get_input_embeddings().weight.device)
    finally:
        model.train(training)


def check_scores(model: PreTrainedModel) -> None:
    """Compare our scores of a few tokens with the model's own logits, so that an unknown architecture is noticed.

    Raises:
        ValueError: they differ.
    """
    with probing(model) as tokens:
        logits = model(input_ids=tokens).logits[0, :-1]
        ours = model(input_ids=tokens, score=ScoreRequest(tokens)).logps[0]
        theirs = score_plain(logits, nn.Identity(), tokens[0, 1:])[0].to(logits.dtype)
    if differ(ours, theirs):
        raise ValueError(
            f"{type(model).__name__} turns the output of its head into logits in a way that Sternpost does not know: "
            f"log-probabilities {theirs.tolist()}, ours {ours.tolist()}. Pass `scorer=score_with_logits` (from "
            "sternpost.models.forward) to the trainer; it holds all logits."
        )


def token_scores(model: PreTrainedModel, batch: dict[str, Any], rows: list[list[int]]) -> list[Tensor]:
    """Log-probabilities of the tokens of each row but its first."""
    logps = model(**batch, score=ScoreRequest(batch["input_ids"])).logps[0]
    logps = torch.cat([logps.new_zeros(1), logps])
    return [logps[row[1:]] for row in rows]


def keep_rows_apart(model: PreTrainedModel, branches: bool = False, measure: Measure = token_scores) -> bool:
    """Get a scoring model ready for rows laid end to end. False, and nothing changed, if they would see one another.

    With `branches` rows may share their beginning (see [`RowLengths`]). The kind of the model's layers decides first;
    then a few tokens are measured both ways.
    """
    if not (may_branch(model) if branches else may_keep_rows_apart(model)):
        return False
    before = model.config._attn_implementation
    rows, lengths = ([[0, 1], [2, 3, 4, 5]], [2, 4]) if not branches else ([[0, 1, 2, 3], [0, 1, 4, 5]], [(2, 2, 2)])
    if not can_check(model):
        if before == "sdpa" or branches:
            model.set_attn_implementation(NAME)
        return before in (NAME, "sdpa") or "flash" in before or branches
    with probing(model) as tokens:
        alone = [measure(model, {"input_ids": tokens[:, row]}, [[*range(len(row))]])[0] for row in rows]
        if before == "sdpa" or branches:
            model.set_attn_implementation(NAME)
        position = positions(lengths).to(tokens.device)
        together = {"input_ids": tokens, "position_ids": position, "seq_lengths": lengths}
        apart = not any(map(differ, measure(model, together, rows), alone))
    if not apart:
        model.set_attn_implementation(before)
    elif branches and before not in (NAME, "sdpa"):
        name = type(model).__name__
        logger.warning("%s: `%s` attention cannot branch; torch's kernel takes its place.", name, before)
    return apart


def score_batch(model: nn.Module, batch: dict[str, Any], request: ScoreRequest) -> TokenScores:
    """The default scorer: a model, wrapped or not, whose forward knows `score=`."""
    return model(**batch, score=request)


def score_with_logits(model: nn.Module, batch: dict[str, Any], request: ScoreRequest) -> TokenScores:
    """A scorer for any model: takes the logits that the model returns. Needs memory for all of them."""
    logits = model(**batch).logits
    return score_hidden(logits, nn.Identity(), request, LogitScale())
