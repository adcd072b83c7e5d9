"""REINFORCE leave-one-out (https://huggingface.co/papers/2402.14740).

row {prompt, ...} -> tokens of the prompt -> completions, several for each            generation/
completions -> rewards                                                                rewards/judge.py
completions -> micro-batches: each prompt once with its completions, or written out   rollout.py, data/groups.py
micro-batch -> log-probability of each token, without logits                          models/forward.py
rewards, divergence from the reference -> advantages -> loss                          loss.py
the order of these things, and what is saved                                          this file
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, PreTrainedModel, Trainer, TrainerCallback, set_seed
from transformers.trainer_utils import EvalLoopOutput

from ..checkpoints import all_or_nothing, check_writable, load_rank_state, resolve_resume
from ..data.batches import multiple_of
from ..data.chat import tokenizer_of
from ..data.groups import GroupSampler
from ..data.prompts import PromptTokenizer, check_prompts
from ..data.splits import Rows
from ..generation.backend import Backend, Sampling, rest
from ..generation.choose import choose_backend
from ..generation.engine import InProcessEngine
from ..generation.options import batch_numbers, check_evaluation, prompts_of, sampling_of
from ..generation.turns import single_turn
from ..metrics import MetricBuffer
from ..models.device import check_launch
from ..models.forward import enable_scoring, keep_rows_apart, score_batch
from ..models.gather import whole_weights
from ..models.policy import (
    ProcessingClass,
    align_special_tokens,
    attach_adapter,
    base_of,
    check_can_sample,
    load_policy,
    load_processing_class,
    router_coefficient,
    stop_tokens,
)
from ..models.reference import (
    FollowPolicy,
    as_reference,
    disable_dropout,
    prepare_reference,
    resume_reference,
    save_reference,
    starting_reference,
)
from ..models.scores import Scorer, ScoreRequest, TokenScores
from ..report.completions import show_completions
from ..rewards.groups import weighted_sum
from ..rewards.judge import Judge, Reward, check_reward_columns
from ..rewards.judged import (
    Judged,
    completions_of,
    length_metrics,
    reward_metrics,
    table_of,
    token_count,
)
from .config import RLOOConfig
from .contract import METRICS
from .loss import Window, leave_one_out, shaped, step
from .rollout import MicroBatch, Rollout, rollout_of

STATE = "rollout-{rank}.pt"
"""File of a checkpoint with the completions that a rank has not learned from to the end, if there are any."""


class RLOOTrainer(Trainer):
    """Train a language model on its own completions, each compared with the mean of the others of its prompt.

        trainer = RLOOTrainer("org/model", reward_funcs=accuracy_reward, args=RLOOConfig("out"), train_dataset=rows)
        trainer.train()

    Args:
        model: The policy, or the path or id to load it from. With an adapter of PEFT, only the adapter is trained.
        reward_funcs: One reward or several: a function `f(prompts, completions, completion_ids, **columns)`,
            synchronous or not, that returns a number or None for each completion; or a sequence-classification model
            with one label, loaded or as a path.
        args: Options; see [`RLOOConfig`].
        train_dataset: Rows with a `prompt`, text or messages. Other columns are given to the rewards.
        eval_dataset: The same, for evaluation.
        processing_class: The tokenizer. By default the model's own.
        reward_processing_classes: The tokenizer of each reward that is a model, None for the others.
        callbacks, optimizers: As in `transformers.Trainer`.
        quantization_config: How to quantise the model while it is loaded.
        peft_config: The adapter to train instead of the whole model.
        backend: What draws tokens. By default as the options say: the policy itself, in this process, or vLLM.
        scorer: `f(model, batch, ScoreRequest)`, how a batch is scored. By default without holding logits.

    Raises:
        ValueError: options, model and rows do not fit together; the message says which and what to do.
    """

    loss_is_scaled_for_ga = True  # `compute_loss` divides by what the whole optimizer step holds

    def __init__(
        self,
        model: str | PreTrainedModel | nn.Module,
        reward_funcs: Reward | Sequence[Reward],
        args: RLOOConfig | None = None,
        train_dataset: Rows | None = None,
        eval_dataset: Rows | dict[str, Rows] | None = None,
        processing_class: ProcessingClass | None = None,
        reward_processing_classes: Any = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, torch.optim.lr_scheduler.LambdaLR | None] = (None, None),
        quantization_config: Any = None,
        peft_config: Any = None,
        *,
        backend: Backend | None = None,
        scorer: Scorer | None = None,
    ):
        # ---- 1. Options
        args = RLOOConfig() if args is None else args
        if train_dataset is None:
            raise ValueError("`train_dataset` is missing. Pass the prompts to train on.")
        check_launch(args)
        check_writable(args.output_dir)
        check_prompts(train_dataset, eval_dataset, least=prompts_of(args))
        self.judge = Judge(
            reward_funcs, reward_processing_classes, args.reward_weights, args.reward_timeout,
            trust_remote_code=args.trust_remote_code,
        )  # fmt: skip
        check_reward_columns(self.judge, train_dataset, eval_dataset, args.remove_unused_columns)

        # ---- 2. Policy and tokenizer
        set_seed(args.seed)  # adapters start from random weights
        policy = load_policy(model, AutoModelForCausalLM, args, quantization_config)
        processing_class = load_processing_class(processing_class, base_of(policy), args)
        self.tokenizer = tokenizer_of(processing_class)
        align_special_tokens(base_of(policy), self.tokenizer, None)
        policy = attach_adapter(policy, peft_config, args)
        check_can_sample(policy)
        if args.disable_dropout:
            disable_dropout(policy)
        self.router_coefficient = router_coefficient(base_of(policy), args.router_aux_loss_coef)
        self.scorer = scorer or score_batch

        # ---- 3. Data
        self.tokenize_prompts = PromptTokenizer(processing_class, args.chat_template_kwargs)

        # ---- 4. Reference
        reference = starting_reference(model, policy, AutoModelForCausalLM, args, quantization_config)
        models = [base_of(policy), *([] if reference is None else [reference])]
        for each in models:
            enable_scoring(each)
        self.shared = scorer is None and all(keep_rows_apart(each, branches=True) for each in models)

        # ---- 5. super()
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
        if args.sync_ref_model:
            alpha, steps = args.ref_model_mixup_alpha, args.ref_model_sync_steps
            self.add_callback(FollowPolicy(self.ref_model, self.accelerator, alpha, steps))
        self.reward_weights = self.judge.to(self.accelerator.device).weights.to(self.accelerator.device)
        self.backend = backend or choose_backend(args, policy, processing_class, self.accelerator)
        own_sampler = isinstance(self.backend, InProcessEngine) and args.repetition_penalty == 1
        self.sampler_is_policy = own_sampler
        self._start_over()

    # twin: sternpost.grpo.trainer.GRPOTrainer._start_over
    def _start_over(self) -> None:
        """Forget what was generated and logged."""
        self.metrics = {"train": MetricBuffer(), "eval": MetricBuffer()}
        self.micro_step = 0
        self.waiting: list[MicroBatch] = []
        self.shown: list[dict[str, list[Any]]] = []
        self.synced: Any = None
        self.eval_batches = 0
        self.step_seconds = 0.0

    @property
    def per_window(self) -> int:
        """Micro-batches of an optimizer step."""
        return int(self.args.gradient_accumulation_steps)

    @property
    def per_generation(self) -> int:
        """Micro-batches of a generation."""
        return max(self.args.steps_per_generation, self.per_window)

    # twin: sternpost.grpo.trainer.GRPOTrainer._sharded
    @property
    def _sharded(self) -> nn.Module:
        """The policy with all that spreads its weights: DeepSpeed gathers them for its own wrapper only."""
        return self.model_wrapped if self.is_deepspeed_enabled else self.model

    # ---- Data -----------------------------------------------------------------------------------------------------

    # twin: sternpost.grpo.trainer.GRPOTrainer.get_train_dataloader
    def get_train_dataloader(self) -> DataLoader:
        """Each batch is what is generated at a time; it comes once for every micro-batch that is made of it."""
        size = self._train_batch_size * self.per_generation
        return self._get_dataloader(self.train_dataset, "Training", size, self._get_train_sampler, is_training=True)

    # twin: sternpost.grpo.trainer.GRPOTrainer._get_train_sampler
    def _get_train_sampler(self, dataset: Any = None) -> GroupSampler:
        args, rows = self.args, len(self.train_dataset if dataset is None else dataset)
        prompts = self._train_batch_size * self.per_generation * args.world_size // args.num_generations
        repeats = self.per_generation * args.num_iterations
        seed = args.seed if args.data_seed is None else args.data_seed
        epoch = lambda: int(self.state.epoch or 0)  # noqa: E731
        return GroupSampler(
            rows, prompts, args.num_generations, repeats, seed if args.shuffle_dataset else None, epoch
        )  # fmt: skip

    def _get_eval_sampler(self, dataset: Any) -> GroupSampler:
        check_evaluation(self.args)
        return GroupSampler(len(dataset), 1, self.args.num_generations_eval)

    # ---- Rolling out ----------------------------------------------------------------------------------------------

    # twin: sternpost.grpo.trainer.GRPOTrainer._prepare_inputs
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
        args = self.args
        group = args.num_generations if mode == "train" else args.num_generations_eval
        self._sync()
        gathers = args.ds3_gather_for_generation and isinstance(self.backend, InProcessEngine)
        with whole_weights(self._sharded) if gathers else nullcontext():
            made = self.generate(rows, mode)
        rest(self.backend)
        self.metrics[mode].add_noted(made.metrics, METRICS)
        rewards = self.accelerator.gather(made.rewards)
        self.metrics[mode].add(reward_metrics(rewards, self.judge.names, self.reward_weights, group))
        rollout = rollout_of(
            made.trajectories, weighted_sum(made.rewards, self.reward_weights), args.mask_truncated_completions
        )
        size = len(rows) // parts
        known = [self.with_known_scores(rollout.part(slice(at, at + size)), mode) for at in range(0, len(rows), size)]
        worth = self.advantages(known, group, mode)
        if args.log_completions and mode == "train" and args.logging_strategy != "no":
            self.shown.append(table_of(made, torch.cat(worth), self.judge.names, self.state.global_step + 1))
        per_window = self.per_window if mode == "train" else 1
        sequences = torch.tensor(float(size * per_window * self.accelerator.num_processes), device=rewards.device)
        return [
            MicroBatch(replace(part, advantages=each), Window(sequences))
            for part, each in zip(known, worth, strict=True)
        ]

    # twin: sternpost.grpo.trainer.GRPOTrainer._sync
    def _sync(self) -> None:
        """Let the backend have the policy's weights, if they are others than last time."""
        now = (self.state.global_step, id(self.model))
        if self.synced != now:
            self.backend.sync(self._sharded)
            self.synced = now

    def generate(self, rows: list[dict[str, Any]], mode: str) -> Judged:
        """A completion for each row, judged."""
        made = Judged(list(rows), single_turn(self.backend, self.tokenize_prompts(rows), self.sampling(mode)))
        self.metrics[mode].add(*length_metrics(made.trajectories, self.accelerator.device, tools=False))
        if mode == "train":
            self.metrics[mode].add(token_count(made.trajectories, self.args.num_generations))
        made.completions = completions_of(rows, made.trajectories, self.tokenizer)
        found = self.judge(rows, made.trajectories, made.completions, self.state)
        made.rewards, made.columns = found.rewards.to(self.accelerator.device), found.columns
        made.metrics = found.metrics
        return made

    def advantages(self, parts: list[Rollout], group: int, mode: str) -> list[Tensor]:
        """What the completions of each part are worth; their `advantages` are rewards so far."""
        args = self.args
        divergences = None
        if args.beta:
            divergences = torch.cat([part.divergence() for part in parts])
            tokens = torch.stack([part.mask.sum() for part in parts]).sum()
            self.metrics[mode].add({"kl": (divergences.sum(), tokens)})
        rewards = torch.cat([part.advantages for part in parts])
        rewards = self.accelerator.gather(shaped(rewards, divergences, args.beta, args.reward_clip_range))
        found = leave_one_out(rewards, group, args.normalize_advantages)
        mine = len(found) // self.accelerator.num_processes
        first = self.accelerator.process_index * mine
        return list(found[first : first + mine].split(len(parts[0])))

    def sampling(self, mode: str) -> Sampling:
        """How completions are drawn; every rank and every generation differently."""
        args, rank = self.args, self.accelerator.process_index
        generation = self.micro_step // (self.per_generation * args.num_iterations)
        if mode == "eval":
            self.eval_batches += 1
            generation = -self.eval_batches
        seed = crc32(repr((args.seed, generation, rank)).encode())
        stop = stop_tokens(base_of(self.accelerator.unwrap_model(self.model)), self.tokenizer)
        return sampling_of(args, stop, seed)

    # twin: sternpost.grpo.trainer.GRPOTrainer.with_known_scores
    def with_known_scores(self, part: Rollout, mode: str) -> Rollout:
        """With the log-probabilities under the old policy and the reference, where they are needed and not known."""
        on_policy = self.args.num_iterations == 1 and self.per_generation == self.per_window
        needed = bool(self.args.beta) and not (self.sampler_is_policy and part.sampler_logps is not None)
        old = ref = None
        with torch.no_grad(), self.compute_loss_context_manager():
            if needed or (mode == "train" and not on_policy):
                old = self.score(self.model, part)[0]
            if self.args.beta and self.ref_model is not None:
                ref = self.score(self.ref_model, part)[0]
            elif self.args.beta:
                with as_reference(self.accelerator.unwrap_model(self.model)):
                    ref = self.score(self.model, part)[0]
        return part.with_scores(old_logps=old, ref_logps=ref)

    # ---- The loss -------------------------------------------------------------------------------------------------

    # twin: sternpost.grpo.trainer.GRPOTrainer.score
    def score(self, model: nn.Module, rollout: Rollout) -> tuple[Tensor, Tensor, TokenScores]:
        """`[N, C]` log-probability and entropy of each token, and all that the scorer said."""
        width = multiple_of(self.args.pad_to_multiple_of)
        batch = rollout.batch(self.tokenizer.pad_token_id, self.shared, width).to(self.accelerator.device)
        request = ScoreRequest(
            batch.labels,
            temperature=self.args.temperature,
            router=bool(self.router_coefficient) and model.training and torch.is_grad_enabled(),
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
        rollout, training = inputs.rollout, model.training
        logps, entropy, scores = self.score(model, rollout)
        old = logps.detach() if rollout.old_logps is None else rollout.old_logps
        mask = rollout.mask.to(logps)
        found = step(logps, old, rollout.sampler_logps, entropy, mask, rollout.advantages, inputs.window, self.args)
        loss = found.loss * self.accelerator.num_processes
        if scores.aux_loss is not None:
            steps = self.current_gradient_accumulation_steps if training else 1
            loss = loss + self.router_coefficient * scores.aux_loss / steps
            found.shares["aux_loss"] = (scores.aux_loss, torch.ones_like(scores.aux_loss))
        self.metrics["train" if training else "eval"].add(found.shares, found.smallest, found.largest)
        return (loss, scores) if return_outputs else loss

    # twin: sternpost.grpo.trainer.GRPOTrainer.training_step
    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        start = time.perf_counter()
        loss = super().training_step(*args, **kwargs)
        self.step_seconds += time.perf_counter() - start
        if self.accelerator.sync_gradients:
            self.metrics["train"].add({"step_time": (torch.tensor(self.step_seconds), torch.ones(()))})
            self.step_seconds = 0.0
        return loss

    # ---- What is logged -------------------------------------------------------------------------------------------

    # twin: sternpost.grpo.trainer.GRPOTrainer._count_tokens
    def _count_tokens(self) -> int:
        """Tokens read and drawn since the beginning of the run, by all ranks; kept in the trainer state, so that it
        resumes."""
        new = self.metrics["train"].flush(self.accelerator, ["num_tokens"]).get("num_tokens", 0)
        self.state.num_input_tokens_seen += int(new)
        return self.state.num_input_tokens_seen

    # twin: sternpost.sft.trainer.SFTTrainer.log
    # twin: sternpost.grpo.trainer.GRPOTrainer.log
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:  # a line of training, not of an evaluation or the summary
            tokens = self._count_tokens()
            logs.update(self.metrics["train"].flush(self.accelerator), num_tokens=tokens)
        if "loss" in logs or "train_runtime" in logs:
            now, some = self.state.global_step, self.args.num_completions_to_print
            show_completions(self.shown, self.args.output_dir, now, some, self.args.log_unique_prompts)
            self.shown = []
        super().log(logs, start_time)

    # ---- Hooks of transformers.Trainer ----------------------------------------------------------------------------

    # twin: sternpost.grpo.trainer.GRPOTrainer.train
    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        resume = resolve_resume(resume_from_checkpoint, self.args.output_dir)
        self._start_over()
        if resume is not None:
            path = Path(resume) / STATE.format(rank=self.accelerator.process_index)
            state = load_rank_state(path, "RLOO", batch_numbers(self.args), self.accelerator.device.type)
            self.micro_step, self.waiting, self.shown = state["micro_step"], state["waiting"], state["shown"]
            self.metrics["train"].restore(state["metrics"])
            if self.args.sync_ref_model and self.ref_model is not None:
                resume_reference(self.ref_model, Path(resume))
        output = super().train(resume, *args, **kwargs)
        self.synced = None  # the best checkpoint may have been loaded
        return output

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor | None, Any, Any]:
        with torch.no_grad(), self.compute_loss_context_manager():
            batch = self._prepare_inputs(inputs)
            loss = self.compute_loss(model, batch).detach()
        count = loss.new_tensor(len(batch.rollout))
        self.metrics["eval"].add({"loss": (loss * count, count)})  # the base class counts prompts, not completions
        return loss, None, None

    # twin: sternpost.grpo.trainer.GRPOTrainer.evaluation_loop
    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        self.eval_batches = 0
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        metrics = self.metrics["eval"].flush(self.accelerator)
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in metrics.items()})
        return output

    # twin: sternpost.sft.trainer.SFTTrainer.save_model
    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        with nullcontext() if _internal_call else all_or_nothing(output_dir or self.args.output_dir):
            super().save_model(output_dir, _internal_call)

    # twin: sternpost.grpo.trainer.GRPOTrainer._save_checkpoint
    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._count_tokens()
        checkpoint = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        with all_or_nothing(checkpoint):
            checkpoint.mkdir(parents=True, exist_ok=True)
            used_up = self.micro_step % (self.per_generation * self.args.num_iterations) == 0
            state = {
                "trainer": "RLOO",
                "batches": batch_numbers(self.args),
                "micro_step": self.micro_step,
                "waiting": [] if used_up else self.waiting,
                "shown": self.shown,
                "metrics": self.metrics["train"].state(),
            }
            torch.save(state, checkpoint / STATE.format(rank=self.accelerator.process_index))
            if self.args.sync_ref_model and self.ref_model is not None:
                save_reference(self.ref_model, checkpoint, self.accelerator)
            self.accelerator.wait_for_everyone()
            super()._save_checkpoint(model, trial)

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["prompt"]

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> None:
        """Unknown before completions are generated; windows hold it."""
