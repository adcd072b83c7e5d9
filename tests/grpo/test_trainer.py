"""GRPO from rows to updated weights: layouts, accumulation and resuming change nothing that they should not."""

import math

import pytest
import torch
from datasets import Dataset

from sternpost.generation.backend import Completion
from sternpost.grpo.config import GRPOConfig
from sternpost.grpo.trainer import GRPOTrainer
from sternpost.rloo.config import RLOOConfig
from sternpost.rloo.trainer import RLOOTrainer

from .. import tiny

QUIET = dict(
    report_to="none", disable_tqdm=True, save_strategy="no", logging_steps=1, learning_rate=1e-2, max_steps=3,
    per_device_train_batch_size=8, num_generations=4, max_completion_length=6, shuffle_dataset=False,
    lr_scheduler_type="constant", optim="sgd",
)  # fmt: skip


def prompts(count: int = 12) -> list[dict]:
    return [
        {"prompt": [{"role": "user", "content": " ".join(tiny.WORDS[at : at + 2])}], "target": at}
        for at in range(count)
    ]


def reward(completions, completion_ids, target, **kwargs):
    """Different for different completions of a prompt."""
    return [sum(ids) % 7 + 0.1 * len(ids) - aim / 10 for ids, aim in zip(completion_ids, target, strict=True)]


class Scripted:
    """A backend whose completions depend on the prompt and the call only, not on the policy."""

    def __init__(self):
        self.calls = self.syncs = 0

    def sync(self, model):
        self.syncs += 1

    def sample(self, groups, sampling):
        self.calls += 1
        found = []
        for group in groups:
            draw = torch.Generator().manual_seed(sum(group.prompt) + 31 * len(group.prompt))
            members = []
            for _ in range(group.count):
                length = int(torch.randint(1, 7, (1,), generator=draw))
                ids = torch.randint(5, 300, (length,), generator=draw).tolist()
                members.append(Completion(ids, [-5.7] * length, finished=length < 6))
            found.append(members)
        return found


def make(path, rows=None, options=None, reward_funcs=reward, **kwargs):
    kwargs = {"backend": Scripted()} | kwargs
    args = GRPOConfig(str(path), **QUIET | (options or {}))
    rows = Dataset.from_list(rows or prompts())
    return GRPOTrainer(tiny.model(), reward_funcs, args, rows, processing_class=tiny.tokenizer(), **kwargs)


def trained(trainer):
    trainer.train()
    return tiny.losses(trainer), torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])


def assert_same(ours, theirs, rel=1e-4):
    for left, right in zip(ours[0], theirs[0], strict=True):
        assert left == pytest.approx(right, rel=rel, abs=1e-6)
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss_type", ["grpo", "dapo", "dr_grpo", "luspo", "cispo", "sapo", "vespo"])
def test_accumulating_is_a_larger_batch(tmp_path, loss_type):
    """Eight completions at once, or four and four, or two at a time: the same steps, whatever is averaged over."""
    whole = trained(make(tmp_path / "a", options={"loss_type": loss_type}))
    for size in (4, 2):
        options = {
            "loss_type": loss_type, "per_device_train_batch_size": size, "gradient_accumulation_steps": 8 // size
        }  # fmt: skip
        assert_same(trained(make(tmp_path / str(size), options=options)), whole)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_a_shared_prompt_changes_nothing(tmp_path, beta):
    """Prompts computed once, or with every completion."""
    shared = make(tmp_path / "a", options={"beta": beta})
    assert shared.shared
    padded = make(tmp_path / "b", options={"beta": beta})
    padded.shared = False
    assert_same(trained(shared), trained(padded))


def test_generating_for_several_steps_is_the_same_on_the_same_completions(tmp_path):
    """Two optimizer steps from one generation, whose completions do not depend on the policy here; the ratios are 1 in
    the first of them, and after it not."""
    each = make(tmp_path / "a", options={"epsilon": 0.9, "max_steps": 1})
    both = make(tmp_path / "b", options={"epsilon": 0.9, "max_steps": 2, "steps_per_generation": 2})
    first = trained(each)
    second = trained(both)
    assert second[0][0] == pytest.approx(first[0][0], rel=1e-5)
    assert both.backend.calls == 1
    assert both.waiting[0].rollout.old_logps is not None


def test_every_generation_is_learned_from_as_often_as_asked(tmp_path):
    """`num_iterations`: one generation, two optimizer steps on the same completions, the second off-policy."""
    trainer = make(tmp_path, options={"num_iterations": 2, "max_steps": 4})
    trained(trainer)
    assert trainer.backend.calls == 2


@pytest.mark.parametrize(
    "options",
    [{}, {"num_iterations": 2}, {"steps_per_generation": 2}, {"num_iterations": 2, "gradient_accumulation_steps": 2,
                                                              "per_device_train_batch_size": 4}],
)  # fmt: skip
def test_resuming_is_as_if_nothing_had_happened(tmp_path, options):
    """Also in the middle of a generation, whose completions are kept."""
    options = options | {"max_steps": 5, "save_strategy": "steps", "save_steps": 1}
    straight = trained(make(tmp_path / "a", options=options, backend=None))
    stopped = make(tmp_path / "b", options=options | {"max_steps": 5}, backend=None)
    stopped.train()
    again = make(tmp_path / "b", options=options, backend=None)
    again.train(resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-3"))
    weights = torch.cat([weight.detach().flatten() for weight in again.model.parameters()])
    assert_same((tiny.losses(again)[3:], weights), (straight[0][3:], straight[1]))


def resumed(make, path, options, at):
    """What a straight run logged, and the lines of one that goes on at a checkpoint."""
    options = options | {"save_strategy": "steps"}
    straight = make(path / "a", options=options)
    straight.train()
    make(path / "b", options=options).train()
    again = make(path / "b", options=options)
    again.train(resume_from_checkpoint=str(path / "b" / f"checkpoint-{at}"))
    return [[line for line in one.state.log_history if "loss" in line] for one in (straight, again)]


def assert_same_lines(left, right, but=("epoch", "step_time")):
    for one, other in zip(left, right, strict=True):
        assert set(one) == set(other)
        for name in set(one) - set(but):
            assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6), name


FOLLOWING = {"beta": 0.5, "sync_ref_model": True, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 0.9}


def test_a_reference_that_follows_is_resumed(tmp_path):
    """Else the divergence would be from the first policy again."""
    options = FOLLOWING | {"max_steps": 4, "save_steps": 2}
    straight, again = resumed(make, tmp_path, options, 2)
    assert_same_lines(straight[2:], again[2:])
    assert (tmp_path / "b" / "checkpoint-2" / "reference.pt").exists()
    (tmp_path / "b" / "checkpoint-2" / "reference.pt").unlink()
    without = make(tmp_path / "b", options=options)
    with pytest.raises(ValueError, match=r"has no `reference.pt`: it was made without `sync_ref_model=True`"):
        without.train(str(tmp_path / "b" / "checkpoint-2"))


def test_metrics_of_a_line_that_is_not_full_are_resumed(tmp_path):
    """A checkpoint between two lines: the second is about all its steps (its loss is transformers', and is not)."""
    straight, again = resumed(make, tmp_path, {"max_steps": 4, "logging_steps": 4, "save_steps": 2}, 2)
    assert_same_lines(straight, again, but=("epoch", "step_time", "loss"))


def test_rewards_teach(tmp_path):
    """The policy itself generates, and what is rewarded becomes more frequent."""

    def likes(completion_ids, **kwargs):
        return [float(sum(token < 150 for token in ids)) / len(ids) for ids in completion_ids]

    options = {"max_steps": 15, "per_device_train_batch_size": 32, "num_generations": 8, "optim": "adamw_torch"}
    trainer = GRPOTrainer(
        tiny.model(), likes, GRPOConfig(str(tmp_path), **QUIET | options), Dataset.from_list(prompts(8)),
        processing_class=tiny.tokenizer(),
    )  # fmt: skip
    trainer.train()
    found = [line["reward"] for line in trainer.state.log_history if "reward" in line]
    assert sum(found[-3:]) / 3 > sum(found[:3]) / 3 + 0.15


def test_metrics_of_a_step(tmp_path):
    """Rewards, lengths and clipping are those of the completions."""
    seen = {}

    def watch(completion_ids, target, **kwargs):
        seen["ids"], seen["rewards"] = completion_ids, reward(None, completion_ids, target)
        return seen["rewards"]

    options = {"max_steps": 1, "mask_truncated_completions": True}
    trainer = make(tmp_path, options=options, reward_funcs=watch)
    trainer.train()
    line = trainer.state.log_history[0]
    lengths = [len(ids) for ids in seen["ids"]]
    assert line["completions/mean_length"] == pytest.approx(sum(lengths) / len(lengths))
    assert (line["completions/min_length"], line["completions/max_length"]) == (min(lengths), max(lengths))
    assert line["completions/clipped_ratio"] == pytest.approx(sum(length == 6 for length in lengths) / len(lengths))
    assert line["reward"] == line["rewards/watch/mean"] == pytest.approx(sum(seen["rewards"]) / 8, rel=1e-5)
    read = trainer.source.tokenize_prompts(prompts()[:2])
    assert line["num_tokens"] == sum(lengths) + sum(map(len, read))
    assert line["reward_std"] == pytest.approx(torch.tensor(seen["rewards"]).std().item(), rel=1e-4)
    ended = [length for length in lengths if length < 6]
    assert line["completions/mean_terminated_length"] == pytest.approx(sum(ended) / len(ended))
    assert line["completions/max_terminated_length"] == max(ended)
    assert line["step_time"] > 0


def test_columns_reach_the_rewards(tmp_path):
    """Under their names, one value per completion, with prompts and ids."""
    seen = {}

    def look(prompts, completions, completion_ids, target, trainer_state, **kwargs):
        seen.update(prompts=prompts, completions=completions, target=target, step=trainer_state.global_step)
        return [1.0] * len(completions)

    trainer = GRPOTrainer(
        tiny.model(), look, GRPOConfig(str(tmp_path), **QUIET | {"max_steps": 1}), Dataset.from_list(prompts()),
        processing_class=tiny.tokenizer(), backend=Scripted(),
    )  # fmt: skip
    trainer.train()
    assert seen["target"] == [0] * 4 + [1] * 4
    assert seen["prompts"][0] == prompts()[0]["prompt"]
    assert seen["completions"][0][0]["role"] == "assistant"
    assert seen["step"] == 0


def test_evaluation_generates_too(tmp_path):
    """With its own number of generations, and metrics of its own."""
    trainer = make(tmp_path, options={"num_generations_eval": 2, "per_device_eval_batch_size": 4})
    trainer.eval_dataset = Dataset.from_list(prompts(4))
    metrics = trainer.evaluate()
    assert math.isfinite(metrics["eval_reward"])
    assert metrics["eval_completions/max_length"] <= 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_generations": 1}, "`num_generations=1` must be at least 2"),
        ({"num_generations": 3}, "which is no multiple of `num_generations=3`"),
        ({"temperature": 0.0}, "`temperature=0.0` must be positive"),
        ({"loss_type": "grop"}, 'Did you mean "grpo"?'),
        ({"scale_rewards": "grp"}, "`scale_rewards='grp'` is not one of"),
        ({"delta": 1.1}, "`delta=1.1` must be above"),
        ({"steps_per_generation": 3, "gradient_accumulation_steps": 2}, "do not divide each other"),
        ({"beta": -1.0}, "`beta=-1.0` must not be negative"),
        ({"delta": 2.0, "loss_type": "sapo"}, "`delta=2.0` bounds a term that `loss_type='sapo'` has not"),
        ({"train_sampling_strategy": "group_by_length"}, "set `shuffle_dataset`"),
        ({"train_sampling_strategy": "sequential", "shuffle_dataset": True}, "set `shuffle_dataset`"),
        ({"generation_batch_size": 8, "gradient_accumulation_steps": 2}, "is less than an optimizer step learns from"),
        ({"replay_groups": 2, "repetition_penalty": 1.2}, "weighs completions by how they were drawn"),
        (
            {"multi_objective_aggregation": "normalize_then_sum", "scale_rewards": "none"},
            "`scale_rewards='none'` has no meaning with",
        ),
    ],
)
def test_wrong_options_are_named(tmp_path, options, message):
    """Before anything is loaded."""
    with pytest.raises(ValueError) as error:
        GRPOConfig(str(tmp_path), **QUIET | options)
    assert message in str(error.value)


def test_rows_without_prompts_and_missing_rewards_are_refused(tmp_path):
    """The message says what is missing."""
    with pytest.raises(ValueError, match="needs `prompt`"):
        make(tmp_path, rows=[{"text": "a"}])
    with pytest.raises(ValueError, match="`reward_funcs` is empty"):
        GRPOTrainer(tiny.model(), [], GRPOConfig(str(tmp_path), **QUIET), Dataset.from_list(prompts()))
    with pytest.raises(ValueError, match="has 2 values for 1 `reward_funcs`"):
        make(tmp_path, options={"reward_weights": [1.0, 2.0]})


def test_more_prompts_than_rows_are_refused(tmp_path):
    """A generation batch needs as many different prompts."""
    with pytest.raises(ValueError, match="the data set has 1 rows, but a generation batch holds 2"):
        make(tmp_path, rows=prompts(1)).train()


def test_completions_are_kept(tmp_path):
    """One Parquet file a log line, with a row for every completion: what it was, what it got, and what was logged."""

    def watched(completion_ids, log_extra, log_metric, **kwargs):
        log_extra("tokens", [len(ids) for ids in completion_ids])
        log_metric("longest", max(map(len, completion_ids)))
        return [float(len(ids)) for ids in completion_ids]

    trainer = make(tmp_path, options={"max_steps": 2, "log_completions": True}, reward_funcs=watched)
    trainer.train()
    files = sorted((tmp_path / "completions").iterdir())
    assert [file.name for file in files] == ["completions_00001.parquet", "completions_00002.parquet"]
    table = Dataset.from_parquet(str(files[0]))
    assert table.column_names == ["step", "prompt", "completion", "watched", "advantage", "tokens"]
    assert len(table) == 8
    assert table["tokens"] == [int(reward) for reward in table["watched"]]
    assert trainer.state.log_history[0]["longest"] == max(table["tokens"])


def flat_reward(completion_ids, target, **kwargs):
    """The same for all completions of prompts with an even number."""
    return [float(len(ids)) if aim % 2 else 1.0 for ids, aim in zip(completion_ids, target, strict=True)]


def test_prompts_without_signal_are_replaced(tmp_path):
    """Dynamic sampling: other prompts take their place, until all teach something or the rounds are over."""
    plain = make(tmp_path / "a", options={"max_steps": 2}, reward_funcs=flat_reward)
    plain.train()
    assert any(not part.rollout.advantages.view(-1, 4).any(1).all() for part in plain.waiting)
    options = {"max_steps": 2, "dynamic_sampling_rounds": 20}
    trainer = make(tmp_path / "b", options=options, reward_funcs=flat_reward)
    trainer.train()
    assert all(part.rollout.advantages.view(-1, 4).any(1).all() for part in trainer.waiting)
    assert trainer.state.log_history[0]["resampled_groups"] >= 1
    assert trainer.further.taken >= 2


def test_groups_with_signal_are_replayed(tmp_path):
    """In the place of those without, as completions of the policy that drew them."""
    trainer = make(tmp_path, options={"max_steps": 3, "replay_groups": 4}, reward_funcs=flat_reward)
    trainer.train()
    ratios = [line["replayed_ratio"] for line in trainer.state.log_history if "replayed_ratio" in line]
    assert ratios == [0.0, 0.5, 0.5]
    rollout = trainer.waiting[0].rollout
    assert rollout.advantages.view(-1, 4).any(1).all()
    assert rollout.replayed.view(-1, 4).sum(1).tolist() in ([4, 0], [0, 4])


@pytest.mark.parametrize("options", [{"dynamic_sampling_rounds": 2}, {"replay_groups": 4}])
def test_resuming_knows_what_was_replaced(tmp_path, options):
    """Further prompts and kept groups are in the checkpoint."""
    options = options | {"max_steps": 5, "save_strategy": "steps", "save_steps": 1}
    straight = trained(make(tmp_path / "a", options=options, reward_funcs=flat_reward))
    make(tmp_path / "b", options=options, reward_funcs=flat_reward).train()
    again = make(tmp_path / "b", options=options, reward_funcs=flat_reward)
    again.train(resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-2"))
    weights = torch.cat([weight.detach().flatten() for weight in again.model.parameters()])
    assert_same((tiny.losses(again)[2:], weights), (straight[0][2:], straight[1]))


@pytest.mark.parametrize(
    "options",
    [
        {"vllm_importance_sampling_mode": "token_truncate"},
        {"vllm_importance_sampling_mode": "token_mask", "loss_type": "vespo"},
        {"vllm_importance_sampling_clip_max": None, "vllm_importance_sampling_mode": "sequence_truncate"},
        {"off_policy_mask_threshold": 0.5, "steps_per_generation": 2},
        {"top_entropy_quantile": 0.3, "entropy_coef": 0.1},
        {"use_adaptive_entropy": True, "entropy_target": 10.0, "entropy_coef": 0.1},
        {"beta": 0.1, "sync_ref_model": True, "ref_model_sync_steps": 1},
        {"cast_lm_head_to_fp32": True},
        {"pad_to_multiple_of": 16},
    ],
)
def test_options_change_what_they_should(tmp_path, options):
    """Each trains, and its metrics are finite."""
    trainer = make(tmp_path, options=options)
    trainer.train()
    for line in trainer.state.log_history:
        assert all(math.isfinite(value) for value in line.values())
    first = trainer.state.log_history[0]
    assert 0.01 < first["sampling/sampling_logp_difference/mean"] < 1  # the backend says the same of every token
    if options.get("use_adaptive_entropy"):
        weights = [line["entropy_coef"] for line in trainer.state.log_history if "entropy_coef" in line]
        assert weights == pytest.approx([0.105, 0.11, 0.115])


def test_padding_to_a_multiple_changes_nothing(tmp_path):
    """Rows end to end get a row of filler behind them."""
    assert_same(trained(make(tmp_path / "a")), trained(make(tmp_path / "b", options={"pad_to_multiple_of": 16})))


def test_weights_are_sent_when_they_changed(tmp_path):
    """Once for all batches of an evaluation and the generation behind it, and once after every step."""
    trainer = make(tmp_path, options={"max_steps": 3, "per_device_eval_batch_size": 4})
    trainer.eval_dataset = Dataset.from_list(prompts(4))
    trainer.evaluate()
    trainer.evaluate()
    assert trainer.backend.syncs == 1
    trainer.train()
    assert trainer.backend.syncs == 4
    trainer.evaluate()
    assert trainer.backend.syncs == 5


def test_deepspeed_gathers_for_its_own_wrapper(tmp_path):
    """The backend gets that one, and the policy as it is otherwise."""
    trainer = make(tmp_path)
    seen = []
    trainer.backend.sync = seen.append
    trainer.model_wrapped = wrapper = torch.nn.Sequential(trainer.model)
    trainer._sync()
    trainer.synced, trainer.is_deepspeed_enabled = None, True
    trainer._sync()
    assert seen[0] is trainer.model
    assert seen[1] is wrapper


def test_a_backend_may_rest_when_a_generation_is_done(tmp_path):
    """Once for each, after all its attempts."""
    backend = Scripted()
    order = []
    draw = backend.sample
    backend.rest = lambda: order.append("rest")
    backend.sample = lambda *args: order.append("sample") or draw(*args)
    options = {"max_steps": 2, "dynamic_sampling_rounds": 2}
    make(tmp_path, options=options, reward_funcs=flat_reward, backend=backend).train()
    assert "".join(each[0] for each in order).count("sr") == order.count("rest") == 2
    assert order.count("sample") > 2


def test_what_draws_otherwise_than_the_policy_is_corrected_for(tmp_path):
    """A penalty for repetition makes the engine in this process another sampler."""
    ratio = "sampling/importance_sampling_ratio/mean"
    for penalty, other in ((1.0, False), (1.5, True)):
        trainer = make(tmp_path, options={"repetition_penalty": penalty, "max_steps": 1}, backend=None)
        trainer.train()
        assert (ratio in trainer.state.log_history[0]) is other


def adapter():
    from peft import LoraConfig

    return LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")


@pytest.mark.parametrize("options", [{}, {"sync_ref_model": True, "ref_model_sync_steps": 1}])
def test_adapters_are_their_own_reference(tmp_path, options):
    """The policy without its adapter, or with a copy that follows; only the adapter is trained and drawn with."""
    trainer = make(tmp_path, options={"beta": 0.5} | options, peft_config=adapter(), backend=None)
    base = {name: weight.clone() for name, weight in trainer.model.named_parameters() if "lora" not in name}
    trainer.train()
    assert trainer.ref_model is None
    lines = [line for line in trainer.state.log_history if "kl" in line]
    assert lines[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert lines[2]["kl"] > 0 if not options else lines[2]["kl"] >= 0
    assert lines[2]["sampling/sampling_logp_difference/max"] < 1e-4
    for name, weight in trainer.model.named_parameters():
        if name in base:
            assert torch.equal(weight, base[name])


def test_a_given_adapter_is_the_reference(tmp_path):
    """A trained one stays as it was when training began, as a copy."""
    from peft import get_peft_model

    policy = get_peft_model(tiny.model(), adapter())
    for name, weight in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    args = GRPOConfig(str(tmp_path), **QUIET | {"beta": 0.5})
    trainer = GRPOTrainer(
        policy, reward, args, Dataset.from_list(prompts()), processing_class=tiny.tokenizer(), backend=Scripted()
    )
    trainer.train()
    lines = [line["kl"] for line in trainer.state.log_history if "kl" in line]
    assert lines[0] == pytest.approx(0, abs=1e-6)
    assert lines[2] > 0


def test_evaluation_is_over_all_completions(tmp_path):
    """Also where the last batch is smaller."""

    def position(target, **kwargs):
        return [float(aim == 4) for aim in target]

    options = {"num_generations_eval": 2, "per_device_eval_batch_size": 8}
    trainer = make(tmp_path, options=options, reward_funcs=position)
    assert trainer.evaluate(Dataset.from_list(prompts(5)))["eval_reward"] == pytest.approx(0.2)
    assert trainer.evaluate(Dataset.from_list(prompts(5)))["eval_frac_reward_zero_std"] == 1


def test_evaluation_needs_whole_groups(tmp_path):
    """Said when it begins, if nothing was known of it before."""
    trainer = make(tmp_path, options={"per_device_eval_batch_size": 6})
    with pytest.raises(ValueError, match="An evaluation batch holds 6 completions"):
        trainer.evaluate(Dataset.from_list(prompts(3)))


def test_columns_for_rewards_are_in_all_sets(tmp_path):
    """A missing one is an error before the run begins, and so is one that would be removed."""

    def needs(completions, target):
        return [0.0] * len(completions)

    args = GRPOConfig(str(tmp_path), **QUIET)
    sets = Dataset.from_list(prompts()), Dataset.from_list([{"prompt": "a"}])
    with pytest.raises(ValueError, match="target"):
        GRPOTrainer(tiny.model(), needs, args, *sets, processing_class=tiny.tokenizer())
    with pytest.raises(ValueError, match="target"):
        make(tmp_path, options={"remove_unused_columns": True}, reward_funcs=needs)


def test_resuming_needs_the_same_batches(tmp_path):
    """Completions that wait belong to batches of the size that they had."""
    options = {"max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    make(tmp_path, options=options).train()
    again = make(tmp_path, options=options | {"num_iterations": 2})
    with pytest.raises(ValueError, match="was made with `num_iterations=1`, and now it is 2"):
        again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    other = RLOOTrainer(tiny.model(), reward, RLOOConfig(str(tmp_path), **QUIET | options), again.train_dataset,
                        processing_class=tiny.tokenizer(), backend=Scripted())  # fmt: skip
    with pytest.raises(ValueError, match=r"was made by GRPO, not by RLOO\. Go on with the method"):
        other.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))


def test_the_best_model_is_sent_before_it_is_evaluated(tmp_path):
    """What was loaded at the end is not what the backend has."""
    options = {
        "max_steps": 2, "save_strategy": "steps", "save_steps": 1, "eval_strategy": "steps", "eval_steps": 1,
        "load_best_model_at_end": True, "metric_for_best_model": "eval_reward", "per_device_eval_batch_size": 4,
    }  # fmt: skip
    trainer = make(tmp_path, options=options, eval_dataset=Dataset.from_list(prompts(2)))
    trainer.train()
    before = trainer.backend.syncs
    trainer.evaluate()
    assert trainer.backend.syncs == before + 1


def test_metrics_of_rewards_have_their_own_names(tmp_path):
    """One that the trainer has is refused."""

    def clashing(completions, log_metric, **kwargs):
        log_metric("reward", 1.0)
        return [0.0] * len(completions)

    with pytest.raises(ValueError, match="a reward logged the metric `reward`"):
        make(tmp_path, reward_funcs=clashing).train()


def test_silent_groups_of_single_rewards_are_replayed_over(tmp_path):
    """With rewards that are normalised one by one, advantages of rounding are none."""

    def other(completion_ids, **kwargs):
        return [1.0] * len(completion_ids)

    options = {"max_steps": 3, "replay_groups": 4, "multi_objective_aggregation": "normalize_then_sum"}
    trainer = make(tmp_path, options=options, reward_funcs=[flat_reward, other])
    trainer.train()
    ratios = [line["replayed_ratio"] for line in trainer.state.log_history if "replayed_ratio" in line]
    assert ratios == [0.0, 0.5, 0.5]


def test_adapters_with_virtual_tokens_are_refused(tmp_path):
    """They could not be sampled."""
    from peft import PromptTuningConfig

    with pytest.raises(ValueError, match="virtual tokens"):
        make(tmp_path, peft_config=PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
