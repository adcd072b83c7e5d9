"""Teaches a causal language model to answer with [`TokenScores`] instead of logits.

`enable_scoring(model)` once, then `model(**batch, score=ScoreRequest(labels))`. The request travels through whatever
wraps the model (adapters, DDP, FSDP, DeepSpeed), so their hooks run as always; without `score=` it is unchanged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .attention import NAME, end_to_end, may_keep_rows_apart, rows_arguments
from .fused import score_fused
from .router import load_balancing_loss
from .scores import IGNORE, LogitScale, ScoreRequest, TokenScores, score_plain
from .tied import SharedGradient, shared_gradient
from .tiled import is_sharded, score_tiled

MULTIPLIERS = ("logit_scale", "lm_head_multiplier", "output_multiplier")
DIVISORS = ("logits_scaling",)
"""Names under which model configs keep the factor of their logits."""


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
    seq_lengths: list[int] | None = None,
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
    scores = score_hidden(body.last_hidden_state, head, score, logit_scale(self), shared)
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
) -> TokenScores:
    """Score the labels of a request from hidden states `[B, S, H]`; only positions with a label go through the head."""
    hidden = hidden[:, -request.labels.size(1) :][:, :-1]  # prompt tuning puts virtual tokens in front
    labels = request.labels[:, 1:]
    keep = labels != IGNORE
    options = (scale, request.temperature, request.objective)
    if type(head) is nn.Linear and not is_sharded(head.weight):
        loss, *stats = score_fused(hidden[keep], head, labels[keep], *options, shared=shared)
    else:
        loss, *stats = score_tiled(hidden[keep], head, labels[keep], *options)
    logps, entropy, top1 = (torch.zeros(keep.shape, device=keep.device).masked_scatter(keep, stat) for stat in stats)
    return TokenScores(loss, logps, entropy, top1, keep.float())


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


def keep_rows_apart(model: PreTrainedModel) -> bool:
    """Get a scoring model ready for rows laid end to end. False, and nothing changed, if they would see one another.

    The kind of its layers decides first; then two short rows are scored end to end and by themselves.
    """
    if not may_keep_rows_apart(model):
        return False
    before = model.config._attn_implementation
    if before == "sdpa":
        model.set_attn_implementation(NAME)
    if not can_check(model):
        return before == "sdpa" or "flash" in before
    with probing(model) as tokens:
        alone = [model(input_ids=row, score=ScoreRequest(row)).logps for row in tokens.split((2, 4), dim=1)]
        position = torch.tensor([[0, 1, 0, 1, 2, 3]], device=tokens.device)
        together = model(input_ids=tokens, position_ids=position, seq_lengths=[2, 4], score=ScoreRequest(tokens)).logps
    apart = not differ(torch.cat([together[:, :1], together[:, 2:]], dim=1), torch.cat(alone, dim=1))
    if not apart:
        model.set_attn_implementation(before)
    return apart


def score_batch(model: nn.Module, batch: dict[str, Any], request: ScoreRequest) -> TokenScores:
    """The default scorer: a model, wrapped or not, whose forward knows `score=`."""
    return model(**batch, score=request)


def score_with_logits(model: nn.Module, batch: dict[str, Any], request: ScoreRequest) -> TokenScores:
    """A scorer for any model: takes the logits that the model returns. Needs memory for all of them."""
    logits = model(**batch).logits
    return score_hidden(logits, nn.Identity(), request, LogitScale())
