"""Teaches a sequence-classification model to score sequences that are laid end to end and share their beginnings.

`enable_sequence_scoring(model)` once, then `model(input_ids, position_ids, seq_lengths=...)` gives a row of logits per
sequence, in their order. Batches without `seq_lengths` go through the model's own forward.
"""

from types import MethodType
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutputWithPast

from ..data.batches import RowLengths
from .attention import end_to_end, rows_arguments
from .forward import can_check, differ, keep_rows_apart, probing


def enable_sequence_scoring(model: PreTrainedModel) -> None:
    """Let `model.forward` accept `seq_lengths`, if it is known where the model reads its score."""
    if isinstance(getattr(model, "score", None), nn.Module):
        model.forward = MethodType(scoring_forward, model)  # a bound method, so that copies of the model get their own


def scoring_forward(self: PreTrainedModel, *args: Any, seq_lengths: RowLengths | None = None, **kwargs: Any) -> Any:
    """The model's own forward; or, of sequences laid end to end, a row of logits for each."""
    embeds = kwargs.get("inputs_embeds")
    if seq_lengths is None and (embeds is None or kwargs.get("attention_mask") is None):
        return type(self).forward(self, *args, **kwargs)
    kwargs = {name: value for name, value in kwargs.items() if value is not None and name != "labels"}
    if seq_lengths is None:  # prompt tuning embeds the tokens, whose ends transformers looks for by their ids
        hidden = self.base_model(*args, **{**kwargs, "use_cache": False}).last_hidden_state
        mask = kwargs["attention_mask"]
        ends = (mask * torch.arange(mask.size(1), device=mask.device)).argmax(1)
        states = hidden[torch.arange(len(ends), device=ends.device), ends]
    else:
        states = last_states(self, *args, seq_lengths=seq_lengths, **kwargs)
    return SequenceClassifierOutputWithPast(logits=self.score(states))


def last_states(
    model: PreTrainedModel, input_ids: Int[Tensor, "1 S"], *, seq_lengths: RowLengths, **kwargs: Any
) -> Float[Tensor, "A H"]:
    """The hidden state that the score of each sequence is read from."""
    layout = rows_arguments(model, seq_lengths, input_ids.device)
    with end_to_end(True):
        body = model.base_model(input_ids, **{**kwargs, "use_cache": False}, **layout)
    pad = model.config.get_text_config().pad_token_id
    real = torch.ones_like(input_ids, dtype=torch.bool) if pad is None else input_ids != pad
    return body.last_hidden_state[0].index_select(0, last_places(real[0], seq_lengths))


def last_places(real: Bool[Tensor, "S"], lengths: RowLengths) -> Int[Tensor, "A"]:
    """Where each sequence is scored: at its last real token, as transformers does, even if that is one that it shares.

    A row is one sequence, or as many as it has branches.
    """
    sizes: list[int] = []
    pieces: list[tuple[int, int]] = []
    for row in lengths:
        shared, *branches = (row,) if isinstance(row, int) else row
        at = len(sizes)
        pieces += [(at, at + 1 + branch) for branch in range(len(branches))] or [(at, at)]
        sizes += [shared, *branches]
    counts, (common, own) = torch.tensor(sizes).to(real.device), torch.tensor(pieces).T.to(real.device)
    owners = torch.arange(len(sizes), device=real.device).repeat_interleave(counts, output_size=len(real))
    places = torch.arange(len(real), device=real.device)
    ends = places.new_full(counts.shape, -1).scatter_reduce(0, owners, places.where(real, -1), "amax")
    starts = (counts.cumsum(0) - counts).clamp(max=len(real) - 1)
    first = torch.where(counts[common] > 0, starts[common], starts[own])  # of a sequence without real tokens
    shared_end = torch.where(ends[common] >= 0, ends[common], first)
    return torch.where(ends[own] >= 0, ends[own], shared_end)


def keep_sequences_apart(model: PreTrainedModel) -> bool:
    """Get a model ready for sequences that share their beginnings. False, and nothing changed, if it is not fit for it.

    It has to read its score from the last token, by its module `score`, and its attention has to keep branches apart;
    a few tokens are tried both ways.
    """
    if not isinstance(getattr(model, "score", None), nn.Module):
        return False
    if can_check(model):
        with probing(model) as tokens:
            theirs = type(model).forward(model, input_ids=tokens).logits
            ours = model.score(last_states(model, tokens, seq_lengths=[tokens.size(1)]))
        if ours.shape != theirs.shape or differ(ours, theirs):
            return False
    return keep_rows_apart(model, branches=True, measure=states_of_rows)


def states_of_rows(model: PreTrainedModel, batch: dict[str, Any], rows: list[list[int]]) -> list[Tensor]:
    """The state that each row's score is read from."""
    return list(last_states(model, **{"seq_lengths": [len(rows[0])], **batch}))
