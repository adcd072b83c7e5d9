"""Where the two libraries differ, and why. Each entry proves that the difference is exactly the one it names."""

import pytest
import torch

from .. import models
from ..case import ONE_ROW, PADDED, WHOLE, Case, accumulated
from ..compare import TOLERANCE, Difference, same
from ..rows import Rows, build
from ..train import make_trainer
from .run import run


def mean_loss(rows: Rows, model: str) -> float:
    """Negative log-likelihood per predicted token by the definition, each row by itself."""
    policy, tokenizer = models.build(model), models.tokenizer()
    total, count = 0.0, 0
    for row in rows:
        ids = torch.tensor([tokenizer.apply_chat_template(row["messages"], return_dict=True)["input_ids"]])
        with torch.no_grad():
            logps = policy(input_ids=ids).logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None])
        total, count = total - logps.sum().item(), count + logps.numel()
    return total / count


def roles_of_sharegpt() -> None:
    sharegpt, chatml = Case("conversations"), Case("conversations_chatml")
    assert same(run("sternpost", sharegpt), run("trl", chatml))
    assert not same(run("trl", sharegpt), run("trl", chatml))


def completion_mask_by_default() -> None:
    case = Case("tokenized_completion")
    assert same(run("sternpost", case), run("trl", case, completion_only_loss=True))
    assert same(run("trl", case), run("sternpost", case, completion_only_loss=False))


def tokens_that_are_never_predicted() -> None:
    case = Case("messages", PADDED, model="positions")
    peer, ours = run("trl", case), run("sternpost", case)
    batch = build("messages")[:4]
    assert ours.losses[0] == pytest.approx(mean_loss(batch, "positions"), rel=TOLERANCE)
    batch_tokens = sum(len(models.tokenizer().apply_chat_template(row["messages"])["input_ids"]) for row in batch)
    predicted = batch_tokens - len(batch)
    assert peer.losses[0] == pytest.approx(ours.losses[0] * predicted / batch_tokens, rel=TOLERANCE)
    assert peer.grad_norms[0] == pytest.approx(ours.grad_norms[0] * predicted / batch_tokens, rel=TOLERANCE)


def metrics_of_accumulated_batches() -> None:
    case = Case("messages")
    peer, ours = run("trl", case, **accumulated(4)), run("sternpost", case, **accumulated(4))
    singles = run("trl", case, **ONE_ROW, learning_rate=0.0, max_steps=4)
    together = run("trl", case, max_steps=1)
    assert same(peer, ours)
    for name in ("entropy", "mean_token_accuracy"):
        assert ours.metrics[0][name] == pytest.approx(together.metrics[0][name], rel=TOLERANCE)
        mean_of_means = sum(step[name] for step in singles.metrics) / 4
        assert peer.metrics[0][name] == pytest.approx(mean_of_means, rel=TOLERANCE)


def loss_of_evaluation() -> None:
    rows = build("messages")
    case = Case("messages", ONE_ROW | {"per_device_eval_batch_size": 5}, evaluated=True)
    evaluated = {
        library: make_trainer(library, "SFT", case, models.build("tied")).evaluate() for library in ("trl", "sternpost")
    }
    assert evaluated["sternpost"]["eval_loss"] == pytest.approx(mean_loss(rows, "tied"), rel=TOLERANCE)
    batches = [rows[:5], rows[5:10], rows[10:]]
    by_rows = sum(mean_loss(batch, "tied") * len(batch) for batch in batches) / len(rows)
    assert evaluated["trl"]["eval_loss"] == pytest.approx(by_rows, rel=TOLERANCE)
    assert by_rows != pytest.approx(mean_loss(rows, "tied"), rel=1e-4)


def tokens_that_fill_up() -> None:
    case = Case("messages", {"pad_to_multiple_of": 16})
    ours, peer = run("sternpost", case), run("trl", case)
    assert same(ours, peer)
    end_to_end = run("trl", case, padding_free=True, max_length=None)
    assert [step["num_tokens"] for step in ours.metrics] == [step["num_tokens"] for step in end_to_end.metrics]
    assert [step["num_tokens"] for step in ours.metrics] != [step["num_tokens"] for step in peer.metrics]


def offloading_without_accelerator() -> None:
    case = Case("messages", WHOLE)
    assert same(run("sternpost", case, activation_offloading=True), run("trl", case))
    with pytest.raises(AttributeError):
        run("trl", case, activation_offloading=True)


EXPLAINED = {
    "ShareGPT roles": Difference(
        "`human` and `gpt` are the roles `user` and `assistant` under other names. We render them as such; TRL keeps "
        "the names, which no chat template knows.",
        roles_of_sharegpt,
    ),
    "`completion_mask` by default": Difference(
        "Tokenised rows with a `completion_mask` say what the completion is, so `completion_only_loss=None` learns "
        "only that, as for rows with `prompt` and `completion`. TRL's automatic choice ignores the column.",
        completion_mask_by_default,
    ),
    "GPT-2's tokens": Difference(
        "TRL divides the padded loss of classes that are not called `...ForCausalLM` by all tokens, although the "
        "first of each row is never predicted. We divide by the predictions; so does TRL without padding.",
        tokens_that_are_never_predicted,
    ),
    "metrics under accumulation": Difference(
        "Entropy and accuracy are means over the tokens of an optimizer step. TRL takes the mean of the means of the "
        "micro-batches, which weighs tokens of short rows more. Loss and gradients agree.",
        metrics_of_accumulated_batches,
    ),
    "evaluation loss": Difference(
        "`eval_loss` is the mean over all tokens, whatever the batch size. TRL weighs the mean of each batch by its "
        "number of rows.",
        loss_of_evaluation,
    ),
    "filler in `num_tokens`": Difference(
        "With `pad_to_multiple_of`, rows laid end to end have no attention mask, and filler counts as tokens seen. TRL "
        "does the same with `padding_free=True`, which is our default and not its own. Loss and gradients agree.",
        tokens_that_fill_up,
    ),
    "`activation_offloading` on a CPU": Difference(
        "Without an accelerator there is nothing to offload, and the option changes nothing. TRL fails.",
        offloading_without_accelerator,
    ),
}
