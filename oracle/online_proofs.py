"""Proofs of differences that all online methods have."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers.models.qwen3_moe.modeling_qwen3_moe import load_balancing_loss_func

from . import models
from .compare import METRIC_TOLERANCE, TOLERANCE, UPDATE_TOLERANCE
from .online import OnlineCase, OnlineRun, judge, run, trainer

BASE: dict[str, dict[str, Any]] = {"GRPO": {"loss_type": "grpo"}, "RLOO": {"beta": 0.0, "learning_rate": 0.002}}
"""Without a reference, and with losses that do not depend on how completions are split into micro-batches."""
PARTS: dict[str, Any] = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
STILL: dict[str, Any] = {"learning_rate": 0.0}
"""Weights stay as they are."""


def case(room: str, options: dict[str, Any] | None = None, rows: str = "prompt", **more: Any) -> OnlineCase:
    return OnlineCase(rows, BASE[room] | (options or {}), **more)


def near(expected: Any, tolerance: float = TOLERANCE) -> Any:
    return pytest.approx(expected, rel=tolerance, abs=1e-6)


def change_of(one: OnlineRun, other: OnlineRun) -> float:
    """How different two updates are."""
    return float((one.change - other.change).norm() / other.change.norm())


def alike(one: OnlineRun, other: OnlineRun) -> bool:
    """Whether two runs are the same; losses are compared with those of other sign that they are sums of."""
    losses = all(a == pytest.approx(b, rel=TOLERANCE, abs=1e-6) for a, b in zip(one.losses, other.losses, strict=True))
    norms = all(a == pytest.approx(b, rel=TOLERANCE) for a, b in zip(one.grad_norms, other.grad_norms, strict=True))
    return losses and norms and change_of(one, other) <= UPDATE_TOLERANCE


def tokens(room: str) -> None:
    for tools in (False, True) if room == "GRPO" else (False,):
        done = {library: trainer(library, room, case(room, tools=tools)) for library in ("sternpost", "trl")}
        logged = {}
        for library, (made, _) in done.items():
            made.train()
            logged[library] = [entry["num_tokens"] for entry in made.state.log_history if "num_tokens" in entry][-1]
        script = done["trl"][1]
        asked = sum(map(len, script.asked))
        assert logged["trl"] == asked + sum(sum(each.drawn) for each in script.made)
        assert logged["sternpost"] == asked / 4 + sum(len(each.ids) for each in script.made)


def padding_before_learned_positions(room: str) -> None:
    made = case(room, PARTS | {"beta": 0.1}, model="positions")
    ours, peer = run("sternpost", room, made), run("trl", room, made)
    assert not alike(ours, peer)
    assert alike(ours, run("trl", room, made, steps_per_generation=1))  # one prompt at a time, and nothing to pad
    same_lengths = case(room, made.options, "equal_prompts", model="positions")
    assert alike(run("sternpost", room, same_lengths), run("trl", room, same_lengths))


def routed_prompts(room: str) -> None:
    made = case(room, {"max_steps": 1}, model="moe", rewards=("equal",))  # only the routers' loss is left
    ours, peer = run("sternpost", room, made), run("trl", room, made)
    model = models.build("moe")
    for done, repeated in ((ours, False), (peer, True)):
        expected = balance(model, done, repeated)
        assert done.metrics[0]["aux_loss"] == near(expected)
        assert done.losses[0] == near(model.config.router_aux_loss_coef * expected)
    assert ours.losses[0] != near(peer.losses[0])


def balance(model: Any, done: OnlineRun, repeated: bool) -> float:
    """The load-balancing loss of eight completions, with their prompts before each of them, or before each group."""
    logits: list[Sequence[torch.Tensor]] = []
    for at, (prompt, each) in enumerate(zip(done.asked, done.made, strict=True)):
        with torch.no_grad():
            found = model(input_ids=torch.tensor([prompt + each.ids]), output_router_logits=True).router_logits
        start = 0 if repeated or at % 4 == 0 else len(prompt)
        logits.append([layer[start:] for layer in found])
    layers = tuple(torch.cat(layer) for layer in zip(*logits, strict=True))
    return float(load_balancing_loss_func(layers, model.config.num_experts, model.config.num_experts_per_tok))


def evaluations(room: str) -> None:
    options = {"num_generations_eval": 2, "beta": 0.5, **STILL}
    made = case(room, options)
    losses: dict[str, list[float]] = {}
    logged: dict[str, dict[str, float]] = {}
    for library, size in (("sternpost", 8), ("trl", 8), ("one", 24)):
        chosen = "trl" if library == "one" else library
        evaluating, _ = trainer(chosen, room, made, per_device_eval_batch_size=size)
        losses[library] = seen = []
        compute, evaluating.eval_dataset = evaluating.compute_loss, evaluating.train_dataset

        def keeping(*args: Any, compute: Any = compute, seen: list[float] = seen, **kwargs: Any) -> Any:
            found = compute(*args, **kwargs)
            seen.append(float(found))
            return found

        evaluating.compute_loss = keeping
        logged[library] = evaluating.evaluate()
    if room == "grpo":  # advantages of leave-one-out add up to nothing
        assert losses["trl"] != near(losses["sternpost"])  # the peer evaluates in another order
    assert logged["sternpost"]["eval_loss"] == near(sum(losses["sternpost"]) / 3)
    assert logged["sternpost"]["eval_loss"] == near(losses["one"][0])
    first, second, last = losses["trl"]
    assert logged["trl"]["eval_loss"] == near((8 * first + 8 * second + 4 * last) / 20)  # 12 prompts: 8 + 4
    for name in ("eval_kl", "eval_entropy", "eval_completions/min_length", "eval_completions/mean_terminated_length"):
        assert logged["sternpost"][name] == pytest.approx(logged["one"][name], **METRIC_TOLERANCE)
    assert logged["trl"]["eval_completions/min_length"] > logged["one"]["eval_completions/min_length"]


def reward_models_of_text(room: str) -> None:
    made = case(room, {"max_steps": 1}, rewards=("judge",))
    ours, peer = run("sternpost", room, made), run("trl", room, made)
    tokenizer, model = models.tokenizer(), judge().eval()
    for done, ended in ((ours, True), (peer, False)):
        scores = []
        for prompt, each in zip(done.asked, done.made, strict=True):
            text = tokenizer.decode(prompt) + tokenizer.decode(each.ids, skip_special_tokens=True)
            ids = [*tokenizer(text)["input_ids"], *[tokenizer.eos_token_id] * ended]
            with torch.no_grad():
                scores.append(float(model(torch.tensor([ids])).logits))
        assert done.metrics[0]["rewards/judge/mean"] == near(sum(scores) / len(scores), 1e-4)
    assert ours.metrics[0]["reward"] != near(peer.metrics[0]["reward"], 1e-3)


def nothing_to_log(room: str) -> None:
    unending = case(room, ended=0.0)
    ours, peer = run("sternpost", room, unending), run("trl", room, unending)
    assert alike(ours, peer)
    for kind in ("min", "max"):
        assert f"completions/{kind}_terminated_length" not in ours.metrics[0]
        assert peer.metrics[0][f"completions/{kind}_terminated_length"] == 0
    silent = case(room, rewards=("variety", "never"))
    ours, peer = run("sternpost", room, silent), run("trl", room, silent)
    assert alike(ours, peer)
    assert "rewards/never/mean" not in ours.metrics[0]
    assert peer.metrics[0]["rewards/never/mean"] is None


def adapter_that_is_followed(room: str) -> None:
    options = {"learning_rate": 0.1, "beta": 0.1}
    follows = {"sync_ref_model": True, "ref_model_sync_steps": 1, "ref_model_mixup_alpha": 1.0}
    made = case(room, options | follows, adapter="given")
    with pytest.raises(NotImplementedError):
        run("trl", room, made)
    ours = run("sternpost", room, made)
    assert [step["kl"] for step in ours.metrics] == near([0.0] * 3)  # the reference is the policy in every step
    assert run("sternpost", room, case(room, options, adapter="given")).metrics[2]["kl"] != near(0.0)


def equal_rewards(room: str) -> None:
    made = case(room, {"num_generations": 3, "per_device_train_batch_size": 6}, rewards=("of_prompt",))
    ours, peer = run("sternpost", room, made), run("trl", room, made)
    assert not ours.advantages.any()
    assert ours.grad_norms == [0.0] * 3
    assert 0 < float(peer.advantages.abs().max()) < 0.1
    assert max(peer.grad_norms) > 0
