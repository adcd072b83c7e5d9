"""Supervised fine-tuning.

row {text | prompt, completion | messages | conversations | input_ids} -> tokens and labels     data.py
tokens -> batch, padded or laid end to end                                                      data.py
batch -> log-probability of each label, without logits                                          models/forward.py
log-probability -> loss                                                                         loss.py
the order of these things, and what is logged and saved                                         this file
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
from ..data.batches import multiple_of
from ..data.chat import tokenizer_of
from ..data.multimodal import has_images
from ..data.splits import Rows, column_names
from ..metrics import MetricBuffer
from ..models.device import check_launch
from ..models.forward import enable_scoring, keep_rows_apart, score_batch
from ..models.offload import offload_activations
from ..models.policy import (
    ProcessingClass,
    align_special_tokens,
    attach_adapter,
    base_of,
    load_policy,
    load_processing_class,
    router_coefficient,
    use_chat_template,
)
from ..models.scores import IGNORE, Scorer, ScoreRequest
from .config import SFTConfig
from .data import DataCollatorForLanguageModeling, prepare
from .loss import LOSSES, TokenLoss
from .vision import DataCollatorForVisionLanguageModeling


class SFTTrainer(Trainer):
    """Train a language model to continue rows the way they go on.

    Example:
        >>> from sternpost import SFTConfig, SFTTrainer, demo
        >>> trainer = SFTTrainer(demo.path(), SFTConfig(output_dir="run"), train_dataset=demo.load("messages"))
        >>> trainer.train()

    Args:
        model: The policy, or the path or id to load it from. With an adapter of PEFT, only the adapter is trained.
        args: Options; see [`SFTConfig`].
        data_collator: Makes a batch of prepared rows. By default [`DataCollatorForLanguageModeling`], or
            [`DataCollatorForVisionLanguageModeling`] for rows with images.
        train_dataset: Rows in any format of `sft/contract.py`, in memory or streamed.
        eval_dataset: The same, for evaluation: one dataset or a dictionary of them.
        processing_class: The tokenizer, or the processor of a vision-language model. By default the model's own.
        compute_loss_func: `f(outputs, labels, num_items_in_batch)`, replaces the loss. Needs memory for all logits.
        compute_metrics: Metrics of an evaluation, from its logits. Needs memory for all logits.
        callbacks, optimizers, optimizer_cls_and_kwargs, preprocess_logits_for_metrics: As in `transformers.Trainer`.
        quantization_config: How to quantise the model while it is loaded.
        peft_config: The adapter to train instead of the whole model.
        formatting_func: `f(row)`, the text of a row.
        scorer: `f(model, batch, ScoreRequest)`, how a batch is scored. By default without holding logits.
        loss_fn: `f(logps)`, the loss of each token from its log-probability; replaces `loss_type`.

    Raises:
        ValueError: options, model and rows do not fit together; the message says which and what to do.
    """

    loss_is_scaled_for_ga = True  # `compute_loss` divides by the tokens of the whole optimizer step

    def __init__(
        self,
        model: str | PreTrainedModel | nn.Module,
        args: SFTConfig | TrainingArguments | None = None,
        data_collator: Callable[[list[Any]], dict[str, Any]] | None = None,
        train_dataset: Rows | None = None,
        eval_dataset: Rows | dict[str, Rows] | None = None,
        processing_class: ProcessingClass | None = None,
        compute_loss_func: Callable | None = None,
        compute_metrics: Callable[[EvalPrediction], dict] | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, torch.optim.lr_scheduler.LambdaLR | None] = (None, None),
        optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable[[Tensor, Tensor], Tensor] | None = None,
        quantization_config: Any = None,
        peft_config: Any = None,
        formatting_func: Callable[[dict], str] | None = None,
        *,
        scorer: Scorer | None = None,
        loss_fn: TokenLoss | None = None,
    ):
        # ---- 1. Options
        args = as_sft_config(args)
        if train_dataset is None:
            raise ValueError("`train_dataset` is missing. Pass the rows to train on.")
        check_launch(args)
        check_writable(args.output_dir)
        if isinstance(train_dataset, IterableDataset):
            args.accelerator_config.dispatch_batches = False  # batches of different shapes cannot be cut up and sent

        # ---- 2. Policy and tokenizer
        set_seed(args.seed)  # adapters start from random weights
        vision = isinstance(processing_class, ProcessorMixin)
        auto_class = AutoModelForImageTextToText if vision else AutoModelForCausalLM
        policy = load_policy(model, auto_class, args, quantization_config)
        processing_class = load_processing_class(processing_class, base_of(policy), args)
        tokenizer = tokenizer_of(processing_class)
        if args.chat_template_path is not None:
            use_chat_template(base_of(policy), processing_class, args.chat_template_path)
        align_special_tokens(base_of(policy), tokenizer, args.eos_token)
        policy = attach_adapter(policy, peft_config, args)
        self.router_coefficient = router_coefficient(base_of(policy), args.router_aux_loss_coef)
        self.scorer = scorer or score_batch
        self.loss_fn = loss_fn or LOSSES[args.loss_type]
        if scorer is None:
            enable_scoring(base_of(policy))

        # ---- 3. Data
        self.formatting_func = formatting_func
        columns = column_names(train_dataset, "train")
        wants_logits = any((compute_loss_func, compute_metrics, preprocess_logits_for_metrics))
        wants_padding = wants_logits or data_collator is not None or scorer is not None
        end_to_end = lays_end_to_end(args, base_of(policy), columns, wants_padding)
        if data_collator is None:
            data_collator = default_collator(processing_class, args, columns, end_to_end)
        train_rows = self.prepare_dataset(train_dataset, processing_class, args, args.packing, formatting_func, "train")
        eval_rows = eval_dataset
        if isinstance(eval_dataset, dict):
            eval_rows = {
                name: self._prepare_eval(rows, processing_class, args, name) for name, rows in eval_dataset.items()
            }
        elif eval_dataset is not None:
            eval_rows = self._prepare_eval(eval_dataset, processing_class, args)

        # ---- 6. super()
        super().__init__(
            model=policy,
            args=args,
            data_collator=data_collator,
            train_dataset=train_rows,
            eval_dataset=eval_rows,
            processing_class=processing_class,
            compute_loss_func=compute_loss_func,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
        )
        self.metrics = {"train": MetricBuffer(), "eval": MetricBuffer()}

    # ---- Data -----------------------------------------------------------------------------------------------------

    def prepare_dataset(
        self,
        dataset: Rows,
        processing_class: ProcessingClass,
        args: SFTConfig,
        packing: bool,
        formatting_func: Callable[[dict], str] | None,
        dataset_name: str,
    ) -> Rows:
        """Turn rows into tokens and labels, packed if asked for. Called once per dataset, before the model is moved."""
        with args.main_process_first(desc=f"preparing the {dataset_name} rows"):
            return prepare(
                dataset, processing_class, args, packing=packing, formatting_func=formatting_func, name=dataset_name
            )

    def _prepare_eval(
        self, dataset: Rows, processing_class: ProcessingClass, args: SFTConfig, dataset_name: str = "eval"
    ) -> Rows:
        """Prepare evaluation rows, which may be packed differently."""
        packs = args.packing if args.eval_packing is None else args.eval_packing
        return self.prepare_dataset(dataset, processing_class, args, packs, self.formatting_func, dataset_name)

    # ---- The loss -------------------------------------------------------------------------------------------------

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        if self.compute_loss_func is not None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        batch = {name: value for name, value in inputs.items() if name != "labels"}
        labels = inputs["labels"]
        request = ScoreRequest(labels, self.loss_fn, router=bool(self.router_coefficient))
        scores = self.scorer(model, batch, request)
        if scores.loss is None:
            raise ValueError("The `scorer` returned no loss, though the request has an objective. Sum it over labels.")

        learned = scores.mask.sum()
        shares = 1
        if num_items_in_batch is None:
            loss = scores.loss / learned.clamp(min=1)
        else:
            if self.args.average_tokens_across_devices:
                shares = self.accelerator.num_processes  # the gradient is averaged over ranks, the count is their sum
            loss = scores.loss * shares / num_items_in_batch
        metrics = {
            "loss": (scores.loss, learned),
            "entropy": (scores.entropy.sum(), learned),
            "mean_token_accuracy": (scores.top1.sum(), learned),
        }
        if scores.aux_loss is not None:
            steps = self.current_gradient_accumulation_steps if model.training else 1
            added = self.router_coefficient * scores.aux_loss
            loss = loss + added / steps
            metrics["loss"] = (scores.loss + added * learned, learned)
            metrics["aux_loss"] = (scores.aux_loss, torch.ones_like(scores.aux_loss))
        self._record(metrics, batch, training=model.training)
        return (loss, model(**batch)) if return_outputs else loss

    # twin: sternpost.dpo.trainer.DPOTrainer._record
    def _record(self, metrics: dict[str, tuple[Tensor, Tensor]], batch: dict[str, Any], training: bool) -> None:
        """Add a micro-batch to the metrics of the next log line."""
        if not training:
            self.metrics["eval"].add(metrics)
            return
        del metrics["loss"]  # transformers logs it
        mask = batch.get("attention_mask")
        tokens = torch.tensor(batch["input_ids"].numel()) if mask is None else mask.sum()
        self.metrics["train"].add({**metrics, "num_tokens": (tokens, torch.tensor(0))})

    # twin: sternpost.dpo.trainer.DPOTrainer._count_tokens
    # twin: sternpost.reward.trainer.RewardTrainer._count_tokens
    def _count_tokens(self) -> int:
        """Tokens seen since the beginning of the run, by all ranks; kept in the trainer state, so that it resumes."""
        new = self.metrics["train"].flush(self.accelerator, ["num_tokens"]).get("num_tokens", 0)
        if self.args.include_num_input_tokens_seen == "no":  # else transformers counts them
            self.state.num_input_tokens_seen += int(new)
        return self.state.num_input_tokens_seen

    # ---- Hooks of transformers.Trainer ----------------------------------------------------------------------------

    # twin: sternpost.reward.trainer.RewardTrainer.train
    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        return super().train(resolve_resume(resume_from_checkpoint, self.args.output_dir), *args, **kwargs)

    # twin: sternpost.reward.trainer.RewardTrainer.training_step
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
        if not prediction_loss_only:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        with torch.no_grad():
            loss = self.compute_loss(model, self._prepare_inputs(inputs))
        return loss.detach(), None, None

    # twin: sternpost.reward.trainer.RewardTrainer.evaluate
    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Evaluate on the dataset of the trainer, or on raw rows given here."""
        if isinstance(eval_dataset, Dataset | IterableDataset):
            eval_dataset = self._prepare_eval(eval_dataset, self.processing_class, self.args)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    # twin: sternpost.dpo.trainer.DPOTrainer.evaluation_loop
    # twin: sternpost.reward.trainer.RewardTrainer.evaluation_loop
    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        metrics = self.metrics["eval"].flush(self.accelerator)  # with the loss per token, not per batch
        output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in metrics.items()})
        if metrics:
            output.metrics[f"{metric_key_prefix}_num_tokens"] = self.state.num_input_tokens_seen
        return output

    # twin: sternpost.rloo.trainer.RLOOTrainer.log
    # twin: sternpost.dpo.trainer.DPOTrainer.log
    # twin: sternpost.reward.trainer.RewardTrainer.log
    # twin: sternpost.grpo.trainer.GRPOTrainer.log
    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:  # a line of training, not of an evaluation or the summary
            tokens = self._count_tokens()
            logs.update(self.metrics["train"].flush(self.accelerator), num_tokens=tokens)
        super().log(logs, start_time)

    # twin: sternpost.rloo.trainer.RLOOTrainer.save_model
    # twin: sternpost.dpo.trainer.DPOTrainer.save_model
    # twin: sternpost.reward.trainer.RewardTrainer.save_model
    # twin: sternpost.grpo.trainer.GRPOTrainer.save_model
    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        with nullcontext() if _internal_call else all_or_nothing(output_dir or self.args.output_dir):
            super().save_model(output_dir, _internal_call)

    # twin: sternpost.reward.trainer.RewardTrainer._save_checkpoint
    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._count_tokens()
        with all_or_nothing(Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"):
            super()._save_checkpoint(model, trial)

    def _set_signature_columns_if_needed(self) -> None:
        text = ["input_ids", "labels", "seq_lengths", "completion_mask", "assistant_masks"]
        vision = ["messages", "prompt", "completion", "images", "image", "tools", "chat_template_kwargs"]
        self._signature_columns = [*text, *vision, self.args.dataset_text_field]

    def _get_num_items_in_batch(self, batch_samples: list[dict[str, Any]], device: torch.device) -> Tensor | None:
        """Learned tokens of an optimizer step; the first label of a row is never predicted."""
        if not batch_samples or "labels" not in batch_samples[0]:
            return None
        count = sum((batch["labels"][..., 1:] != IGNORE).sum() for batch in batch_samples).to(device)
        if self.args.average_tokens_across_devices and self.accelerator.num_processes > 1:
            count = self.accelerator.reduce(count, reduction="sum")
        return count.clamp(min=1)


# twin: sternpost.dpo.trainer.as_dpo_config
# twin: sternpost.reward.trainer.as_reward_config
def as_sft_config(args: SFTConfig | TrainingArguments | None) -> SFTConfig:
    """The options as an [`SFTConfig`]; plain training arguments keep their values."""
    if args is None:
        return SFTConfig()
    if isinstance(args, SFTConfig):
        return args
    return SFTConfig(**{field.name: getattr(args, field.name) for field in fields(args) if field.init})


def lays_end_to_end(args: SFTConfig, model: PreTrainedModel, columns: list[str], wants_padding: bool) -> bool:
    """Whether the rows of a batch are laid end to end; if so, the model is ready for it.

    Raises:
        ValueError: it was asked for, but rows have images or the model would let rows see one another.
    """
    packs = args.packing and args.packing_strategy != "wrapped"
    if not (packs or args.padding_free):
        if args.padding_free is False or wants_padding or has_images(columns):
            return False
        return keep_rows_apart(model)
    asked = f'`packing_strategy="{args.packing_strategy}"`' if packs else "`padding_free=True`"
    if has_images(columns):
        raise ValueError(f"{asked} lays rows end to end, which rows with images do not allow. Leave it out.")
    if not keep_rows_apart(model):
        raise ValueError(
            f"{asked} lays rows end to end, but the layers of {type(model).__name__} would let them see one another. "
            'Leave it out, or pack with `packing_strategy="wrapped"`.'
        )
    return True


def default_collator(
    processing_class: ProcessingClass, args: SFTConfig, columns: list[str], end_to_end: bool
) -> Callable[[list[Any]], dict[str, Any]]:
    """What makes batches of rows with these columns."""
    multiple = multiple_of(args.pad_to_multiple_of)
    if not has_images(columns):
        pad = tokenizer_of(processing_class).pad_token_id
        return DataCollatorForLanguageModeling(pad, padding_free=end_to_end, pad_to_multiple_of=multiple)
    learn_completion = args.completion_only_loss
    return DataCollatorForVisionLanguageModeling(
        processing_class,
        args.max_length,
        completion_only_loss="completion" in columns if learn_completion is None else learn_completion,
        pad_to_multiple_of=multiple,
        dataset_text_field=args.dataset_text_field,
        assistant_only_loss=args.assistant_only_loss,
    )
