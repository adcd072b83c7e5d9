"""Direct preference optimisation (https://huggingface.co/papers/2305.18290) and its relatives.

row {prompt, chosen, rejected | chosen, rejected} -> tokens of prompt and answers    data.py
tokens -> batch: each prompt once with both answers, or written out                  data.py, vision.py, layout.py
batch -> log-probability of each answer's tokens, without logits                     models/forward.py
log-probabilities per token -> per answer, of policy and reference        answers.py, reference.py, precompute.py
log-probabilities per answer -> loss of each pair                                    loss.py
the order of these things, and what is logged and saved                              this file
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from datasets import Dataset, IterableDataset
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    EvalPrediction,
    PreTrainedModel,
    ProcessorMixin,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import EvalLoopOutput

from ..checkpoints import all_or_nothing, check_writable, resolve_resume
from ..data.batches import IGNORE
from ..data.chat import tokenizer_of
from ..data.multimodal import has_images
from ..data.splits import Rows, column_names
from ..metrics import MetricBuffer
from ..models.device import check_launch
from ..models.forward import enable_scoring, score_batch
from ..models.offload import offload_activations
from ..models.policy import (
    ProcessingClass,
    align_special_tokens,
    attach_adapter,
    base_of,
    has_prompt_tokens,
    load_policy,
    load_processing_class,
    router_coefficient,
)
from ..models.reference import (
    FollowPolicy,
    as_reference,
    disable_dropout,
    load_reference,
    prepare_reference,
    restore_state,
    whole_state,
)
from ..models.scores import Extra, Scorer, ScoreRequest
from .answers import Answers
from .config import DPOConfig
from .data import REFERENCE, check_precomputable, check_rows, prepare
from .layout import default_collator, shares_prompts
from .loss import Pairs, bco_shift, preference_loss, wpo_weights
from .metrics import pair_metrics
from .precompute import check_precomputed, digest_of_weights, fingerprint, precompute, shared
from .reference import reference_of
from .shift import RewardShift

STATE = "dpo_state.pt"
"""File of a checkpoint with what changes besides the policy: a reference that follows it, BCO's running mean."""


class DPOTrainer(Trainer):
    """Train a language model to prefer the better of two answers, without a reward model.

    Example:
        >>> from sternpost import DPOConfig, DPOTrainer, demo
        >>> trainer = DPOTrainer(demo.path(), args=DPOConfig(output_dir="run"), train_dataset=demo.load("preference"))
        >>> trainer.train()

    Args:
        model: The policy, or the path or id to load it from. With an adapter of PEFT, only the adapter is trained.
        ref_model: The reference, or its path. By default the policy as it is at the start: a copy of it, or, if it has
            an adapter, its own base; an adapter called `ref` is the reference if there is one.
        args: Options; see [`DPOConfig`].
        data_collator: Makes a batch of prepared pairs. By default [`DataCollatorForPreference`], or
            [`DataCollatorForVisionPreference`] for rows with images.
        train_dataset: Pairs in any format of `dpo/contract.py`, in memory or streamed.
        eval_dataset: The same, for evaluation: one dataset or a dictionary of them.
        processing_class: The tokenizer, or the processor of a vision-language model. By default the model's own.
        compute_metrics: Metrics of an evaluation, from its logits `[P, S, 2, V]` (chosen answers first) and labels
            `[P, S, 2]` (the tokens of the answers, -100 elsewhere). Needs memory for all logits.
        callbacks, optimizers: As in `transformers.Trainer`.
        quantization_config: How to quantise the model while it is loaded.
        peft_config: The adapter to train instead of the whole model.
        scorer: `f(model, batch, ScoreRequest)`, how a batch is scored. By default without holding logits.
        loss_fn: `f(pairs)`, the loss of each pair of a [`Pairs`]; replaces `loss_type`.

    Raises:
        ValueError: options, model and rows do not fit together; the message says which and what to do.
    """

    loss_is_scaled_for_ga = True  # `compute_loss` divides by the pairs of the whole optimizer step

    def __init__(
        self,
        model: str | PreTrainedModel | nn.Module,
        ref_model: str | PreTrainedModel | nn.Module | None = None,
        args: DPOConfig | TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], dict[str, Any]] | None = None,
        train_dataset: Rows | None = None,
        eval_dataset: Rows | dict[str, Rows] | None = None,
        processing_class: ProcessingClass | None = None,
        compute_metrics: Callable[[EvalPrediction], dict] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, torch.optim.lr_scheduler.LambdaLR | None] = (None, None),
        quantization_config: Any = None,
        peft_config: Any = None,
        *,
        scorer: Scorer | None = None,
        loss_fn: Callable[[Pairs], Tensor] | None = None,
    ):
        # ---- 1. Options
        args = as_dpo_config(args)
        if train_dataset is None:
            raise ValueError("`train_dataset` is missing. Pass the pairs to train on.")
        check_launch(args)
        check_writable(args.output_dir)
        columns = column_names(train_dataset, "train")
        check_rows(args, train_dataset, columns)
        if isinstance(train_dataset, IterableDataset):
            args.accelerator_config.dispatch_batches = False  # batches of different shapes cannot be cut up and sent

        # ---- 2. Policy and tokenizer
        set_seed(args.seed)  # adapters start from random weights
        vision = isinstance(processing_class, ProcessorMixin)
        auto_class = AutoModelForImageTextToText if vision else AutoModelForCausalLM
        policy = load_policy(model, auto_class, args, quantization_config)
        processing_class = load_processing_class(processing_class, base_of(policy), args)
        align_special_tokens(base_of(policy), tokenizer_of(processing_class), None)
        given_adapter = is_peft_model(policy)
        policy = attach_adapter(policy, peft_config, args)
        self.router_coefficient = router_coefficient(base_of(policy), args.router_aux_loss_coef)
        self.scorer = scorer or score_batch
        self.loss_fn = loss_fn or (lambda pairs: preference_loss(pairs, args, args.loss_type, args.loss_weights))

        # ---- 3. Reference
        ref_model = reference_of(policy, ref_model, given_adapter, auto_class, args, quantization_config)
        both = [each for each in (policy, ref_model) if each is not None]
        for each in both:
            if args.disable_dropout:
                disable_dropout(each)
            if scorer is None:
                enable_scoring(base_of(each))

        # ---- 4. Data
        wants_padding = any((compute_metrics, data_collator, scorer, has_images(columns), has_prompt_tokens(policy)))
        shares = shares_prompts(args, [base_of(each) for each in both], wants_padding)
        data_collator = data_collator or default_collator(processing_class, args, columns, shares)
        train_rows = self.prepare_dataset(train_dataset, processing_class, args, "train")
        eval_rows = self._prepare_eval(eval_dataset, processing_class, args)

        # ---- 6. super()
        digest = digest_of_weights(both[-1]) if args.precompute_ref_log_probs else ""
        super().__init__(
            model=policy,
            args=args,
            data_collator=data_collator,
            train_dataset=train_rows,
            eval_dataset=eval_rows,
            processing_class=processing_class,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            optimizers=optimizers,
        )
        self.metrics = {"train": MetricBuffer(), "eval": MetricBuffer()}
        self.reward_shift = RewardShift()
        self.ref_model = None if ref_model is None else prepare_reference(ref_model, self.accelerator)
        self.reference_digest, self.reference_was_given = shared(digest), ref_model is not None
        if args.precompute_ref_log_probs:
            self._precompute_all(train_rows, eval_rows)
        elif args.sync_ref_model:
            alpha, steps = args.ref_model_mixup_alpha, args.ref_model_sync_steps
            self.add_callback(FollowPolicy(self.ref_model, self.accelerator, alpha, steps))

    # ---- Data -----------------------------------------------------------------------------------------------------

    def prepare_dataset(
        self, dataset: Rows, processing_class: ProcessingClass, args: DPOConfig, dataset_name: str
    ) -> Rows:
        """Turn pairs into tokens. Called once per dataset, before the model is moved."""
        with args.main_process_first(desc=f"preparing the {dataset_name} pairs"):
            return prepare(dataset, processing_class, args, dataset_name)

    # twin: sternpost.reward.trainer.RewardTrainer._prepare_eval
    def _prepare_eval(self, dataset: Any, processing_class: ProcessingClass, args: DPOConfig) -> Any:
        """Prepare one evaluation dataset, several by name, or none."""
        if isinstance(dataset, dict):
            return {name: self.prepare_dataset(rows, processing_class, args, name) for name, rows in dataset.items()}
        return None if dataset is None else self.prepare_dataset(dataset, processing_class, args, "eval")

    # ---- The loss -------------------------------------------------------------------------------------------------

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        batch = {name: value for name, value in inputs.items() if name not in (*REFERENCE, "completion_mask")}
        if self.args.precompute_ref_log_probs:
            check_precomputed(inputs)
        answers = Answers.of(inputs, self.args.ld_alpha)
        reference = self.reference_logps(model, inputs, answers)
        extras: tuple[Extra, ...] = ("mean_logit", "log_collision") if self.args.use_weighting else ("mean_logit",)
        request = ScoreRequest(answers.labels, extras=extras, router=bool(self.router_coefficient))
        scores = self.scorer(model, batch, request)

        count = answers.count // 2
        tokens = answers.tokens
        window = tokens.new_tensor([count, tokens[:count].sum()]) if num_items_in_batch is None else num_items_in_batch
        chosen, rejected = answers.weighted(scores.logps).chunk(2)
        pairs = Pairs(
            chosen=chosen,
            rejected=rejected,
            ref_chosen=reference[:count],
            ref_rejected=reference[count:],
            chosen_tokens=tokens[:count],
            rejected_tokens=tokens[count:],
            chosen_nll=-answers.sums(scores.logps)[:count],
            mean_tokens=window[1] / window[0],
            shift=self.reward_shift.value.to(tokens),
        )
        losses = self.loss_fn(pairs)
        if scores.log_collision is not None:
            weights = wpo_weights(answers.sums(scores.logps), answers.sums(scores.log_collision), tokens)
            losses = losses * weights[:count] * weights[count:]
        shares = 1
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            shares = self.accelerator.num_processes  # the gradient is averaged over ranks, the count is their sum
        loss = (losses.sum() * shares / window[0]).float()
        if "bco_pair" in self.args.loss_type and model.training:
            self.reward_shift.add(bco_shift(pairs, self.args), count)
        metrics = pair_metrics(pairs, losses, scores, answers, self.args.beta)
        if scores.aux_loss is not None:
            steps = self.current_gradient_accumulation_steps if model.training else 1
            added = self.router_coefficient * scores.aux_loss
            loss = loss + added / steps
            total, pair_count = metrics["loss"]
            metrics["loss"] = (total + added * pair_count, pair_count)
            metrics["aux_loss"] = (scores.aux_loss, torch.ones_like(scores.aux_loss))
        self._record(metrics, batch, training=model.training)
        return (loss, model(**batch)) if return_outputs else loss

    # twin: sternpost.sft.trainer.SFTTrainer._record
    def _record(self, metrics: dict[str, tuple[Tensor, Tensor]], batch: dict[str, Any], training: bool) -> None:
        """Add a micro-batch to the metrics of the next log line."""
        if not training:
            self.metrics["eval"].add(metrics)
            return
        del metrics["loss"]  # transformers logs it
        mask = batch.get("attention_mask")
        tokens = torch.tensor(batch["input_ids"].numel()) if mask is None else mask.sum()
        self.metrics["train"].add({**metrics, "num_tokens": (tokens, torch.tensor(0))})

    # twin: sternpost.sft.trainer.SFTTrainer._count_tokens
    def _count_tokens(self) -> int:
        """Tokens seen since the beginning of the run, by all ranks; kept in the trainer state, so that it resumes."""
        new = self.metrics["train"].flush(self.accelerator, ["num_tokens"]).get("num_tokens", 0)
        if self.args.include_num_input_tokens_seen == "no":  # else transformers counts them
            self.state.num_input_tokens_seen += int(new)
        return self.state.num_input_tokens_seen

    # ---- The reference --------------------------------------------------------------------------------------------

    def reference_logps(self, model: nn.Module, inputs: dict[str, Any], answers: Answers) -> Tensor:
        """`[2P]`: log-probability of each answer under the reference, precomputed or computed now."""
        if self.args.precompute_ref_log_probs and REFERENCE[0] in inputs:
            return torch.cat([inputs[name].to(answers.numbers.device) for name in REFERENCE])
        batch = {name: value for name, value in inputs.items() if name not in (*REFERENCE, "completion_mask")}
        request = ScoreRequest(answers.labels)
        with torch.no_grad(), self.compute_loss_context_manager():
            if self.ref_model is not None:
                return answers.weighted(self.scorer(self.ref_model, batch, request).logps)
            with as_reference(self.accelerator.unwrap_model(model)):
                return answers.weighted(self.scorer(model, batch, request).logps)

    def _precompute_all(self, train_rows: Dataset, eval_rows: Any) -> None:
        """Give every split the reference's log-probabilities, then let go of the reference."""
        args = self.args
        model = self.ref_model or self.model
        if self.ref_model is None and (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            model = prepare_reference(load_reference(None, self.model, None, args, None), self.accelerator)
        elif self.ref_model is None:
            model.to(self.accelerator.device)
        train_size = args.precompute_ref_batch_size or args.per_device_train_batch_size
        self.train_dataset = self._precompute(model, train_rows, train_size, "train")
        eval_size = args.precompute_ref_batch_size or args.per_device_eval_batch_size
        if isinstance(eval_rows, dict):
            self.eval_dataset = {
                name: self._precompute(model, rows, eval_size, name) for name, rows in eval_rows.items()
            }
        elif eval_rows is not None:
            self.eval_dataset = self._precompute(model, eval_rows, eval_size, "eval")
        self.ref_model = None

    def _precompute(self, model: nn.Module, dataset: Dataset, batch_size: int, name: str) -> Dataset:
        """A split with the reference's log-probabilities, unless it came with them."""
        columns = column_names(dataset, name)
        check_precomputable(dataset, columns, name)
        if set(REFERENCE) <= set(columns):
            return dataset
        key = shared(fingerprint(dataset, self.reference_digest, self.args))
        training = model.training
        model.eval()

        def score(batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
            batch = self._prepare_inputs(batch)
            chosen, rejected = self.reference_logps(model, batch, Answers.of(batch, self.args.ld_alpha)).chunk(2)
            return chosen.cpu(), rejected.cpu()

        folder = Path(self.args.output_dir) / "reference" / key
        title = f"Reference log-probabilities of {name}"
        try:
            return precompute(dataset, score, self.data_collator, self.accelerator, folder, batch_size, title)
        finally:
            model.train(training)

    # ---- Hooks of transformers.Trainer ----------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        resume = resolve_resume(resume_from_checkpoint, self.args.output_dir)
        if resume is not None:
            self._restore_state(Path(resume) / STATE)
        return super().train(resume, *args, **kwargs)

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        with offload_activations(self.model) if self.args.activation_offloading else nullcontext():
            loss = super().training_step(*args, **kwargs)
        if self.accelerator.sync_gradients:
            self.reward_shift.close_step(self.accelerator)
        return loss

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, Any]:
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            if prediction_loss_only or "seq_lengths" in inputs:
                return self.compute_loss(model, inputs).detach(), None, None
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
        labels = inputs["input_ids"].where(inputs["completion_mask"] == 1, IGNORE)
        logits, labels = (torch.stack(values.chunk(2), dim=2) for values in (outputs.logits, labels))
        return loss.detach(), logits, labels  # one row per pair: transformers drops rows beyond the number of pairs

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluate on the dataset of the trainer, or on raw pairs given here.

        Raises:
            ValueError: the pairs are new, but the reference was let go of and the policy is no longer what it was.
        """
        if isinstance(eval_dataset, Dataset | IterableDataset):
            eval_dataset = self.prepare_dataset(eval_dataset, self.processing_class, self.args, "eval")
            if self.args.precompute_ref_log_probs:
                eval_dataset = self._precompute_late(eval_dataset)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    def _precompute_late(self, dataset: Dataset) -> Dataset:
        if set(REFERENCE) <= set(column_names(dataset, "eval")):
            return dataset
        if self.reference_was_given or (self.state.global_step and not is_peft_model(self.model)):
            raise ValueError(
                "`precompute_ref_log_probs=True` keeps no reference, and the policy is another model by now, so these "
                "pairs cannot be compared with it. Pass them as `eval_dataset` to the trainer."
            )
        return self._precompute(self.model, dataset, self.args.per_device_eval_batch_size, "eval")

    # twin: sternpost.sft.trainer.SFTTrainer.evaluation_loop
    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        metrics = self.metrics["eval"].flush(self.accelerator)  # with the loss per pair, not per batch
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in metrics.items()})
        if metrics:
            output.metrics[f"{metric_key_prefix}_num_tokens"] = self.state.num_input_tokens_seen
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
            self._save_state(checkpoint / STATE)
            super()._save_checkpoint(model, trial)

    def _save_state(self, path: Path) -> None:
        """Write what changes besides the policy, if anything does."""
        state: dict[str, Any] = {}
        if self.args.sync_ref_model and self.ref_model is not None:
            state["reference"] = whole_state(self.ref_model)
        if "bco_pair" in self.args.loss_type:
            state["reward_shift"] = self.reward_shift.total
        if state and self.accelerator.is_main_process:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, path)

    def _restore_state(self, path: Path) -> None:
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location="cpu")
        if "reference" in state and self.ref_model is not None:
            restore_state(self.ref_model, state["reference"])
        if "reward_shift" in state:
            self.reward_shift.total = state["reward_shift"]

    def _set_signature_columns_if_needed(self) -> None:
        text = ["prompt_ids", "chosen_ids", "rejected_ids", *REFERENCE]
        vision = ["prompt", "chosen", "rejected", "images", "image", "tools", "chat_template_kwargs"]
        self._signature_columns = [*text, *vision]

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Tensor | None:
        """`[2]`: pairs of an optimizer step, and the tokens of their chosen answers."""
        if not batch_samples or "completion_mask" not in batch_samples[0]:
            return None
        answers = [Answers.of(batch, self.args.ld_alpha) for batch in batch_samples]
        pairs = sum(each.count // 2 for each in answers)
        tokens = sum(each.tokens[: each.count // 2].sum() for each in answers)
        count = torch.tensor([pairs, float(tokens)], device=device)
        if self.args.average_tokens_across_devices and self.accelerator.num_processes > 1:
            count = self.accelerator.reduce(count, reduction="sum")
        return count


# twin: sternpost.sft.trainer.as_sft_config
def as_dpo_config(args: DPOConfig | TrainingArguments | None) -> DPOConfig:
    """The options as a [`DPOConfig`]; plain training arguments keep their values."""
    if args is None:
        return DPOConfig()
    if isinstance(args, DPOConfig):
        return args
    return DPOConfig(**{field.name: getattr(args, field.name) for field in fields(args) if field.init})
