"""Group-relative policy optimisation (https://huggingface.co/papers/2402.03300) and its relatives.

row {prompt, ...} -> tokens of the prompt                                             this file
prompts -> completions, several for each                                              generation/
completions -> rewards -> advantages                                                  rewards/run.py, advantages.py
completions -> micro-batches: each prompt once with its completions, or written out   rollout.py, data/groups.py
micro-batch -> log-probability of each token, without logits                          models/forward.py
log-probabilities, advantages -> loss                                                 loss.py
the order of these things, and what is logged and saved                               this file
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from accelerate.utils import is_peft_model
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, PreTrainedModel, Trainer, TrainerCallback, set_seed
from transformers.trainer_utils import EvalLoopOutput

from ..checkpoints import all_or_nothing, check_writable, resolve_resume
from ..data.chat import ChatRenderer, tokenizer_of
from ..data.groups import GroupSampler
from ..data.rows import without_none
from ..data.splits import Rows, column_names
from ..data.tokens import encode
from ..generation.backend import Backend, Group, Sampling
from ..generation.engine import InProcessEngine
from ..metrics import MetricBuffer
from ..models.device import check_launch
from ..models.forward import enable_scoring, keep_rows_apart, score_batch
from ..models.policy import (
    ProcessingClass,
    align_special_tokens,
    attach_adapter,
    base_of,
    load_policy,
    load_processing_class,
    router_coefficient,
)
from ..models.reference import as_reference, disable_dropout, load_reference, prepare_reference
from ..models.scores import Scorer, ScoreRequest, TokenScores
from ..rewards.run import RewardFunction, run_rewards
from .advantages import advantages, group_spread, weighted_sum, without_signal
from .config import GRPOConfig
from .loss import LOSSES, Scored, Window, clip_fractions, kl
from .rollout import MicroBatch, Rollout

STATE = "rollout-{rank}.pt"
"""File of a checkpoint with the completions that a rank has not learned from to the end."""


class GRPOTrainer(Trainer):
    """Train a language model on its own completions, by how much better each is than the others of its prompt.

    Args:
        model: The policy, or the path or id to load it from. With an adapter of PEFT, only the adapter is trained.
        reward_funcs: One function or several: `f(prompts, completions, completion_ids, **columns)`, synchronous or not,
            that returns a number or None for each completion.
        args: Options; see [`GRPOConfig`].
        train_dataset: Rows with a `prompt`, text or messages. Other columns are given to the reward functions.
        eval_dataset: The same, for evaluation.
        processing_class: The tokenizer. By default the model's own.
        callbacks, optimizers: As in `transformers.Trainer`.
        quantization_config: How to quantise the model while it is loaded.
        peft_config: The adapter to train instead of the whole model.
        backend: What draws completions. By default the policy itself, in this process.
        scorer: `f(model, batch, ScoreRequest)`, how a batch is scored. By default without holding logits.

    Raises:
        ValueError: options, model and rows do not fit together; the message says which and what to do.
    """

    loss_is_scaled_for_ga = True  # `compute_loss` divides by what the whole optimizer step holds

    def __init__(
        self,
        model: str | PreTrainedModel | nn.Module,
        reward_funcs: Callable[..., Any] | Sequence[Callable[..., Any]],
        args: GRPOConfig | None = None,
        train_dataset: Rows | None = None,
        eval_dataset: Rows | dict[str, Rows] | None = None,
        processing_class: ProcessingClass | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, torch.optim.lr_scheduler.LambdaLR | None] = (None, None),
        quantization_config: Any = None,
        peft_config: Any = None,
        *,
        backend: Backend | None = None,
        scorer: Scorer | None = None,
    ):
        # ---- 1. Options
        args = GRPOConfig() if args is None else args
        if train_dataset is None:
            raise ValueError("`train_dataset` is missing. Pass the prompts to train on.")
        check_launch(args)
        check_writable(args.output_dir)
        check_prompts(column_names(train_dataset, "train"))
        functions = [reward_funcs] if callable(reward_funcs) else list(reward_funcs)
        self.rewards = [RewardFunction.of(function) for function in functions]
        self.reward_weights = reward_weights(args.reward_weights, self.rewards)

        # ---- 2. Policy and tokenizer
        set_seed(args.seed)  # adapters start from random weights
        policy = load_policy(model, AutoModelForCausalLM, args, quantization_config)
        processing_class = load_processing_class(processing_class, base_of(policy), args)
        self.tokenizer = tokenizer_of(processing_class)
        align_special_tokens(base_of(policy), self.tokenizer, None)
        policy = attach_adapter(policy, peft_config, args)
        if args.disable_dropout:
            disable_dropout(policy)
        self.router_coefficient = router_coefficient(base_of(policy), args.router_aux_loss_coef)
        self.scorer = scorer or score_batch
        enable_scoring(base_of(policy))

        # ---- 4. Reference
        reference = None
        if args.beta and not is_peft_model(policy):
            reference = load_reference(None, base_of(policy), AutoModelForCausalLM, args, quantization_config)
            disable_dropout(reference)
            enable_scoring(reference)
        models = [base_of(policy), *([] if reference is None else [reference])]
        self.shared = scorer is None and all(keep_rows_apart(each, branches=True) for each in models)

        # ---- 5. Generation
        self.backend = backend or InProcessEngine(base_of(policy), args.generation_slots)

        # ---- 6. super()
        super().__init__(
            model=policy,
            args=args,
            data_collator=list,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            callbacks=callbacks,
            optimizers=optimizers,
        )
        self.ref_model = None if reference is None else prepare_reference(reference, self.accelerator)
        self.metrics = {"train": MetricBuffer(), "eval": MetricBuffer()}
        self.micro_step = 0
        self.waiting: list[MicroBatch] = []
        self.per_window = args.gradient_accumulation_steps
        self.per_generation = max(args.steps_per_generation, self.per_window)

    # ---- Data -----------------------------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader:
        """Each batch is what is generated at a time; it comes once for every micro-batch that is made of it."""
        size = self._train_batch_size * self.per_generation
        return self._get_dataloader(self.train_dataset, "Training", size, self._get_train_sampler, is_training=True)

    def _get_train_sampler(self, dataset: Any = None) -> GroupSampler:
        args, rows = self.args, len(self.train_dataset if dataset is None else dataset)
        prompts = self._train_batch_size * self.per_generation * args.world_size // args.num_generations
        repeats = self.per_generation * args.num_iterations
        seed = args.seed if args.shuffle_dataset else None
        return GroupSampler(rows, prompts, args.num_generations, repeats, seed)

    def _get_eval_sampler(self, dataset: Any) -> GroupSampler:
        return GroupSampler(len(dataset), 1, self.args.num_generations_eval)

    def tokenize_prompts(self, rows: list[dict[str, Any]]) -> list[list[int]]:
        """Ids of the prompts, text as the tokenizer wraps it or messages as the template shows them."""
        prompts = [without_none(row["prompt"]) for row in rows]
        if isinstance(prompts[0], str):
            return encode(self.tokenizer, prompts, special_tokens=True).ids
        renderer = ChatRenderer(self.processing_class)
        options = self.args.chat_template_kwargs or {}
        texts = [renderer.render_prompt(prompt, row.get("tools"), **options) for prompt, row in zip(prompts, rows)]
        return encode(self.tokenizer, texts, special_tokens=False).ids

    # ---- Rolling out ----------------------------------------------------------------------------------------------

    def _prepare_inputs(self, inputs: Any) -> Any:
        """Rows -> the micro-batch whose turn it is; completions are generated when there are none left."""
        if not self.model.training:
            return self.roll_out(inputs, 1, "eval")[0]
        at = self.micro_step % (self.per_generation * self.args.num_iterations)
        if at == 0:
            self.waiting = self.roll_out(inputs, self.per_generation, "train")
        self.micro_step += 1
        return self.waiting[at % self.per_generation]

    def roll_out(self, rows: list[dict[str, Any]], parts: int, mode: str) -> list[MicroBatch]:
        """Completions of the prompts of some rows, judged and compared, in parts of equal size."""
        args, device = self.args, self.accelerator.device
        group = args.num_generations if mode == "train" else args.num_generations_eval
        prompts = self.tokenize_prompts(rows)
        self.backend.sync(self.model)
        drawn = [each for found in self.backend.sample(grouped(prompts), self.sampling(mode)) for each in found]
        ids = [completion.ids for completion in drawn]
        finished = torch.tensor([completion.finished for completion in drawn], device=device).float()
        rewards = self.accelerator.gather(self.judge(rows, ids))
        found = advantages(
            rewards, self.reward_weights.to(device), group, args.scale_rewards, args.multi_objective_aggregation
        )
        first = self.accelerator.process_index * len(rows)
        learned = finished if args.mask_truncated_completions else torch.ones_like(finished)
        rollout = Rollout(prompts, ids, found[first : first + len(rows)], learned)
        self._record_rollout(rewards, ids, finished, group, mode)
        size = len(rows) // parts
        known = [rollout.part(slice(at, at + size)) for at in range(0, len(rows), size)]
        return [MicroBatch(self.with_known_scores(part, mode), window)
                for part, window in zip(known, self.windows(known, mode), strict=True)]  # fmt: skip

    def sampling(self, mode: str) -> Sampling:
        """How completions are drawn; every rank and every generation differently."""
        args = self.args
        generation = self.micro_step // (self.per_generation * args.num_iterations)
        seed = crc32(repr((args.seed, generation, self.accelerator.process_index)).encode())
        return Sampling(
            max_tokens=args.max_completion_length,
            temperature=args.temperature,
            top_p=args.top_p,
            top_k=args.top_k,
            min_p=args.min_p or 0.0,
            repetition_penalty=args.repetition_penalty,
            stop=frozenset({self.tokenizer.eos_token_id, self.tokenizer.pad_token_id} - {None}),
            seed=seed if mode == "train" else args.seed + self.accelerator.process_index,
        )

    def judge(self, rows: list[dict[str, Any]], ids: list[list[int]]) -> Tensor:
        """`[N, K]`: what each reward function says of each completion; not-a-number where it says nothing."""
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        chat = isinstance(rows[0]["prompt"], list)
        completions = [[{"role": "assistant", "content": text}] for text in texts] if chat else texts
        columns = {name: [row.get(name) for row in rows] for name in rows[0] if name != "completions"}
        extra = {"prompts": columns.pop("prompt"), "completions": completions, "completion_ids": ids}
        arguments = columns | extra | {"trainer_state": self.state}
        found = run_rewards(self.rewards, arguments, len(rows), self.args.reward_timeout)
        table = [[torch.nan if value is None else value for value in column] for column in found]
        return torch.tensor(table, device=self.accelerator.device, dtype=torch.float32).T.contiguous()

    def windows(self, parts: list[Rollout], mode: str) -> list[Window]:
        """For each part, what its optimizer step holds over all parts and ranks."""
        per_window = self.per_window if mode == "train" else 1
        counts = torch.tensor(
            [
                [sum(map(len, of)), sum(float(part.mask().sum()) for part in of)]
                for of in (parts[at : at + per_window] for at in range(0, len(parts), per_window))
            ],
            device=self.accelerator.device,
        )
        counts = self.accelerator.reduce(counts, reduction="sum")
        longest = self.args.max_completion_length
        made = [Window(sequences, tokens, per_window, longest) for sequences, tokens in counts]
        return [made[at // per_window] for at in range(len(parts))]

    def with_known_scores(self, part: Rollout, mode: str) -> Rollout:
        """With the log-probabilities under the old policy and the reference, where they are needed and not known."""
        on_policy = self.args.num_iterations == 1 and self.per_generation == self.per_window
        old = ref = None
        with torch.no_grad(), self.compute_loss_context_manager():
            if mode == "train" and not on_policy:
                old = self.score(self.model, part)[0]
            if self.args.beta and self.ref_model is not None:
                ref = self.score(self.ref_model, part)[0]
            elif self.args.beta:
                with as_reference(self.accelerator.unwrap_model(self.model)):
                    ref = self.score(self.model, part)[0]
        return part.with_scores(old_logps=old, ref_logps=ref)

    # ---- The loss -------------------------------------------------------------------------------------------------

    def score(self, model: nn.Module, rollout: Rollout) -> tuple[Tensor, Tensor, TokenScores]:
        """`[N, C]` log-probability and entropy of each token, and all that the scorer said."""
        batch = rollout.batch(self.tokenizer.pad_token_id, self.shared).to(self.accelerator.device)
        request = ScoreRequest(
            batch.labels, temperature=self.args.temperature, router=bool(self.router_coefficient) and model.training
        )
        scores = self.scorer(model, batch.inputs, request)
        return batch.per_completion(scores.logps), batch.per_completion(scores.entropy), scores

    def compute_loss(
        self,
        model: nn.Module,
        inputs: MicroBatch,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        args, rollout, window = self.args, inputs.rollout, inputs.window
        logps, entropy, scores = self.score(model, rollout)
        old = logps.detach() if rollout.old_logps is None else rollout.old_logps
        mask = rollout.mask().to(logps)
        scored = Scored(logps, old, mask, rollout.advantages)
        objective, average = LOSSES[args.loss_type]
        per_token = objective(scored, args)
        metrics = {"entropy": ((entropy * mask).sum(), mask.sum())}
        if rollout.ref_logps is not None:
            divergence = kl(logps, rollout.ref_logps, old if args.use_bias_correction_kl else None)
            per_token = per_token + args.beta * divergence
            metrics["kl"] = ((divergence * mask).sum(), mask.sum())
        if args.entropy_coef:
            per_token = per_token - args.entropy_coef * entropy
        loss = (per_token * mask * average(mask, window)).sum() * self.accelerator.num_processes
        low, high = clip_fractions(scored, args)
        metrics |= {
            "clip_ratio/low_mean": (low.sum(), mask.sum()),
            "clip_ratio/high_mean": (high.sum(), mask.sum()),
            "clip_ratio/region_mean": ((low + high).sum(), mask.sum()),
        }
        if scores.aux_loss is not None:
            steps = self.current_gradient_accumulation_steps if model.training else 1
            loss = loss + self.router_coefficient * scores.aux_loss / steps
            metrics["aux_loss"] = (scores.aux_loss, torch.ones_like(scores.aux_loss))
        self.metrics["train" if model.training else "eval"].add(metrics)
        return (loss, scores) if return_outputs else loss

    def _record_rollout(self, rewards: Tensor, ids: list[list[int]], finished: Tensor, group: int, mode: str) -> None:
        """Add a generation to the metrics of the next log line. Rewards are those of all ranks."""
        one = torch.ones((), device=rewards.device)
        metrics = {}
        for name, column in zip((reward.name for reward in self.rewards), rewards.unbind(1), strict=True):
            known = column[~column.isnan()]
            if len(known):
                metrics[f"rewards/{name}/mean"] = (known.mean(), one)
                metrics[f"rewards/{name}/std"] = (known.std() if len(known) > 1 else known.new_zeros(()), one)
        total = weighted_sum(rewards, self.reward_weights.to(rewards.device))
        metrics["reward"] = (total.nanmean(), one)
        metrics["reward_std"] = (group_spread(total, group).mean(), one)
        metrics["frac_reward_zero_std"] = (without_signal(total, group).mean(), one)
        lengths = torch.tensor([float(len(each)) for each in ids], device=rewards.device)
        count = one * len(ids)
        metrics["completions/mean_length"] = (lengths.sum(), count)
        metrics["completions/clipped_ratio"] = ((1 - finished).sum(), count)
        if mode == "train":
            metrics["num_tokens"] = (lengths.sum(), torch.zeros((), device=rewards.device))
        smallest = {"completions/min_length": lengths.min()}
        self.metrics[mode].add(metrics, smallest, {"completions/max_length": lengths.max()})

    def _count_tokens(self) -> int:
        """Tokens drawn since the beginning of the run, by all ranks; kept in the trainer state, so that it resumes."""
        new = self.metrics["train"].flush(self.accelerator, ["num_tokens"]).get("num_tokens", 0)
        self.state.num_input_tokens_seen += int(new)
        return self.state.num_input_tokens_seen

    # ---- Hooks of transformers.Trainer ----------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        resume = resolve_resume(resume_from_checkpoint, self.args.output_dir)
        self.micro_step, self.waiting = 0, []
        if resume is not None:
            path = Path(resume) / STATE.format(rank=self.accelerator.process_index)
            state = torch.load(path, weights_only=False, map_location=self.accelerator.device)
            self.micro_step, self.waiting = state["micro_step"], state["waiting"]
        return super().train(resume, *args, **kwargs)

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor | None, Any, Any]:
        with torch.no_grad(), self.compute_loss_context_manager():
            return self.compute_loss(model, self._prepare_inputs(inputs)).detach(), None, None

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        metrics = self.metrics["eval"].flush(self.accelerator)
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in metrics.items()})
        return output

    # twin: sternpost.sft.trainer.SFTTrainer.log
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:  # a line of training, not of an evaluation or the summary
            tokens = self._count_tokens()
            logs.update(self.metrics["train"].flush(self.accelerator), num_tokens=tokens)
        super().log(logs, start_time)

    # twin: sternpost.sft.trainer.SFTTrainer.save_model
    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        with nullcontext() if _internal_call else all_or_nothing(output_dir or self.args.output_dir):
            super().save_model(output_dir, _internal_call)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._count_tokens()
        checkpoint = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        with all_or_nothing(checkpoint):
            checkpoint.mkdir(parents=True, exist_ok=True)
            used_up = self.micro_step % (self.per_generation * self.args.num_iterations) == 0
            state = {"micro_step": self.micro_step, "waiting": [] if used_up else self.waiting}
            torch.save(state, checkpoint / STATE.format(rank=self.accelerator.process_index))
            super()._save_checkpoint(model, trial)

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["prompt"]

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> None:
        """Unknown before completions are generated; windows hold it."""


def check_prompts(columns: list[str]) -> None:
    """Raise unless rows have prompts."""
    if "prompt" not in columns:
        raise ValueError(
            f"the train data set has the columns {', '.join(columns)}, but needs `prompt`: text or messages."
        )


def reward_weights(weights: list[float] | None, rewards: list[RewardFunction]) -> Tensor:
    """`[K]`: the weight of each reward.

    Raises:
        ValueError: there are no rewards, or not as many weights.
    """
    if not rewards:
        raise ValueError("`reward_funcs` is empty, so that there is nothing to learn from. Pass at least one function.")
    if weights is not None and len(weights) != len(rewards):
        raise ValueError(f"`reward_weights={weights}` has {len(weights)} values for {len(rewards)} reward functions.")
    return torch.ones(len(rewards)) if weights is None else torch.tensor(weights, dtype=torch.float32)


def grouped(prompts: list[list[int]]) -> list[Group]:
    """Prompts that follow one another and are the same, as one group."""
    groups: list[Group] = []
    for prompt in prompts:
        if groups and list(groups[-1].prompt) == prompt:
            groups[-1] = Group(prompt, groups[-1].count + 1)
        else:
            groups.append(Group(prompt, 1))
    return groups
