"""Reward modelling (https://huggingface.co/papers/2203.02155, section 3.5): a number for each answer.

row {prompt, chosen, rejected | chosen, rejected} -> tokens of both sequences        data.py
tokens -> batch: what a pair shares once, or every sequence written out              data.py, vision.py, layout.py
batch -> one score per sequence, at its last token                                   models/sequence.py
a score for each answer -> loss of each pair                                         loss.py
the order of these things, and what is logged and saved                              this file
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, IterableDataset
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import EvalPrediction, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_utils import EvalLoopOutput

from ..checkpoints import all_or_nothing, check_writable, resolve_resume
from ..data.chat import tokenizer_of
from ..data.multimodal import has_images
from ..data.splits import Rows, column_names
from ..metrics import MetricBuffer
from ..models.device import check_launch
from ..models.offload import offload_activations
from ..models.policy import (
    ProcessingClass,
    align_special_tokens,
    attach_adapter,
    base_of,
    has_prompt_tokens,
    load_policy,
    load_processing_class,
    use_chat_template,
)
from ..models.reference import disable_dropout
from ..models.sequence import enable_sequence_scoring
from ..models.sequence_head import AutoSequenceScorer, check_scores_sequences, check_trains_head, with_head
from .config import RewardConfig
from .data import MARGIN, TOKENS, prepare
from .layout import default_collator, shares_beginnings
from .loss import Pairs, reward_loss
from .metrics import pair_metrics


class RewardTrainer(Trainer):
    """Train a model to give better answers higher rewards.

    Example:
        >>> from sternpost import RewardConfig, RewardTrainer, demo
        >>> trainer = RewardTrainer(demo.path(), RewardConfig("run"), train_dataset=demo.load("preference"))
        >>> trainer.train()

    Args:
        model: A sequence-classification model with one label, or the path or id to load it from; a language model's
            checkpoint gets a new head. With an adapter of PEFT, the adapter and the head are trained.
        args: Options; see [`RewardConfig`].
        data_collator: Makes a batch of prepared pairs. By default [`DataCollatorForPreference`], or
            [`DataCollatorForVisionPreference`] for rows with images.
        train_dataset: Pairs in any format of `reward/contract.py`, in memory or streamed.
        eval_dataset: The same, for evaluation: one dataset or a dictionary of them.
        processing_class: The tokenizer, or the processor of a vision-language model. By default the model's own.
        compute_metrics: Metrics of an evaluation. Its predictions are the rewards, (chosen, rejected) of each pair; its
            labels say which of them is the better one: 0.
        callbacks, optimizers, optimizer_cls_and_kwargs, preprocess_logits_for_metrics: As in `transformers.Trainer`.
        quantization_config: How to quantise the model while it is loaded.
        peft_config: The adapter to train instead of the whole model, with the head.
        loss_fn: `f(pairs)`, the loss of each pair of a [`Pairs`]; replaces Bradley-Terry and centring.

    Raises:
        ValueError: options, model and rows do not fit together; the message says which and what to do.
    """

    loss_is_scaled_for_ga = True  # `compute_loss` divides by the pairs of the whole optimizer step

    def __init__(
        self,
        model: str | PreTrainedModel | nn.Module,
        args: RewardConfig | TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], dict[str, Any]] | None = None,
        train_dataset: Rows | None = None,
        eval_dataset: Rows | dict[str, Rows] | None = None,
        processing_class: ProcessingClass | None = None,
        compute_metrics: Callable[[EvalPrediction], dict] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, torch.optim.lr_scheduler.LambdaLR | None] = (None, None),
        optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[[Tensor, Tensor], Tensor] | None = None,
        quantization_config: Any = None,
        peft_config: Any = None,
        *,
        loss_fn: Callable[[Pairs], Tensor] | None = None,
    ):
        # ---- 1. Options
        args = as_reward_config(args)
        if train_dataset is None:
            raise ValueError("`train_dataset` is missing. Pass the pairs to train on.")
        check_launch(args)
        check_writable(args.output_dir)
        columns = column_names(train_dataset, "train")
        check_loss(args, loss_fn)
        if isinstance(train_dataset, IterableDataset):
            args.accelerator_config.dispatch_batches = False  # batches of different shapes cannot be cut up and sent

        # ---- 2. Model and tokenizer
        set_seed(args.seed)  # heads and adapters start from random weights
        model = load_policy(model, AutoSequenceScorer, args, quantization_config)
        check_scores_sequences(base_of(model))
        processing_class = load_processing_class(processing_class, base_of(model), args)
        if args.chat_template_path is not None:
            use_chat_template(base_of(model), processing_class, args.chat_template_path)
        align_special_tokens(base_of(model), tokenizer_of(processing_class), args.eos_token)
        peft_config = None if peft_config is None else with_head(peft_config)
        model = attach_adapter(model, peft_config, args)
        check_trains_head(model)
        if args.disable_dropout:
            disable_dropout(model)
        enable_sequence_scoring(base_of(model))
        self.loss_fn = loss_fn or (lambda pairs: reward_loss(pairs, args.center_rewards_coefficient))

        # ---- 3. Data
        wants_padding = any((data_collator, has_images(columns), has_prompt_tokens(model)))
        shares = shares_beginnings(args, base_of(model), wants_padding)
        data_collator = data_collator or default_collator(processing_class, args, columns, shares)
        train_rows = self.prepare_dataset(train_dataset, processing_class, args, "train")
        eval_rows = self._prepare_eval(eval_dataset, processing_class, args)

        # ---- 6. super()
        super().__init__(
            model=model,
            args=args,
            data_collator=data_collator,
            train_dataset=train_rows,
            eval_dataset=eval_rows,
            processing_class=processing_class,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
        )
        self.metrics = {"train": MetricBuffer(), "eval": MetricBuffer()}

    # ---- Data -----------------------------------------------------------------------------------------------------

    def prepare_dataset(
        self, dataset: Rows, processing_class: ProcessingClass, args: RewardConfig, dataset_name: str
    ) -> Rows:
        """Turn pairs into tokens. Called once per dataset, before the model is moved."""
        with args.main_process_first(desc=f"preparing the {dataset_name} pairs"):
            return prepare(dataset, processing_class, args, dataset_name)

    # twin: sternpost.dpo.trainer.DPOTrainer._prepare_eval
    def _prepare_eval(self, dataset: Any, processing_class: ProcessingClass, args: RewardConfig) -> Any:
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
        batch = {name: value for name, value in inputs.items() if name != MARGIN}
        outputs = model(**batch, use_cache=False)
        outputs.logits = chosen_first(outputs.logits, batch)
        chosen, rejected = outputs.logits[:, 0].chunk(2)
        pairs = Pairs(chosen, rejected, inputs.get(MARGIN))
        losses = self.loss_fn(pairs)
        shares = 1
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            shares = self.accelerator.num_processes  # the gradient is averaged over ranks, the count is their sum
        loss = losses.sum() * shares / (len(losses) if num_items_in_batch is None else num_items_in_batch)
        self._record(pairs, losses, batch, training=model.training)
        return (loss, outputs) if return_outputs else loss

    def _record(self, pairs: Pairs, losses: Tensor, batch: dict[str, Any], training: bool) -> None:
        """Add a micro-batch to the metrics of the next log line."""
        shares, smallest, largest = pair_metrics(pairs, losses)
        if training:
            del shares["loss"]  # transformers logs it
            mask = batch.get("attention_mask")
            tokens = torch.tensor(batch["input_ids"].numel()) if mask is None else mask.sum()
            shares["num_tokens"] = (tokens, torch.tensor(0))
        self.metrics["train" if training else "eval"].add(shares, smallest, largest)

    # twin: sternpost.sft.trainer.SFTTrainer._count_tokens
    def _count_tokens(self) -> int:
        """Tokens seen since the beginning of the run, by all ranks; kept in the trainer state, so that it resumes."""
        new = self.metrics["train"].flush(self.accelerator, ["num_tokens"]).get("num_tokens", 0)
        if self.args.include_num_input_tokens_seen == "no":  # else transformers counts them
            self.state.num_input_tokens_seen += int(new)
        return self.state.num_input_tokens_seen

    # ---- Hooks of transformers.Trainer ----------------------------------------------------------------------------

    # twin: sternpost.sft.trainer.SFTTrainer.train
    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        return super().train(resolve_resume(resume_from_checkpoint, self.args.output_dir), *args, **kwargs)

    # twin: sternpost.sft.trainer.SFTTrainer.training_step
    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        with offload_activations(self.model) if self.args.activation_offloading else nullcontext():
            return super().training_step(*args, **kwargs)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, Any]:
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, self._prepare_inputs(inputs), return_outputs=True)
        if prediction_loss_only:
            return loss, None, None
        rewards = outputs.logits.view(2, -1).T.contiguous()
        return loss, rewards, torch.zeros(len(rewards), dtype=torch.long, device=rewards.device)

    # twin: sternpost.sft.trainer.SFTTrainer.evaluate
    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluate on the dataset of the trainer, or on raw pairs given here."""
        if isinstance(eval_dataset, Dataset | IterableDataset):
            eval_dataset = self.prepare_dataset(eval_dataset, self.processing_class, self.args, "eval")
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

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

    # twin: sternpost.sft.trainer.SFTTrainer._save_checkpoint
    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._count_tokens()
        with all_or_nothing(Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"):
            super()._save_checkpoint(model, trial)

    def _set_signature_columns_if_needed(self) -> None:
        vision = ["prompt", "chosen", "rejected", "images", "image", "tools", "chat_template_kwargs"]
        self._signature_columns = [*TOKENS, MARGIN, *vision]

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Tensor | None:
        """Pairs of an optimizer step, over all ranks."""
        if not batch_samples or "input_ids" not in batch_samples[0]:
            return None
        count = torch.tensor(float(sum(count_pairs(batch) for batch in batch_samples)), device=device)
        if self.args.average_tokens_across_devices and self.accelerator.num_processes > 1:
            count = self.accelerator.reduce(count, reduction="sum")
        return count


def chosen_first(logits: Tensor, batch: dict[str, Any]) -> Tensor:
    """`[2P, 1]`: rewards of the chosen answers, then of the rejected ones, in float32, from either layout."""
    rewards = logits[: 2 * count_pairs(batch)].float()  # without that of filler behind the pairs
    return rewards.view(-1, 2).T.reshape(-1, 1) if "seq_lengths" in batch else rewards


def count_pairs(batch: dict[str, Any]) -> int:
    """P."""
    if "seq_lengths" in batch:
        return sum(not isinstance(row, int) for row in batch["seq_lengths"])
    return len(batch["input_ids"]) // 2


# twin: sternpost.sft.trainer.as_sft_config
def as_reward_config(args: RewardConfig | TrainingArguments | None) -> RewardConfig:
    """The options as a [`RewardConfig`]; plain training arguments keep their values."""
    if args is None:
        return RewardConfig()
    if isinstance(args, RewardConfig):
        return args
    return RewardConfig(**{field.name: getattr(args, field.name) for field in fields(args) if field.init})


def check_loss(args: RewardConfig, loss_fn: Any) -> None:
    """Raise if an option would have no effect."""
    if loss_fn is not None and args.center_rewards_coefficient:
        raise ValueError(
            f"`center_rewards_coefficient={args.center_rewards_coefficient}` would have no effect, because `loss_fn` "
            "replaces the loss. Leave one of them out."
        )
