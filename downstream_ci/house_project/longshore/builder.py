"""Settings -> options, data, trainer."""

import dataclasses
import importlib
import inspect

from transformers import AutoModelForCausalLM, AutoTokenizer

import sternpost.demo
from sternpost import ModelConfig, get_peft_config

from .callbacks import TableCallback, WatchdogCallback
from .collator import WeighingCollator


def load_class(path):
    """The class that a string names, such as `sternpost.SFTTrainer`."""
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


class SFTBuilder:
    def __init__(self, settings):
        self.settings = settings
        self.trainer_cls = load_class(settings.trainer_cls or "sternpost.SFTTrainer")
        self.args_cls = load_class(settings.args_cls or "sternpost.SFTConfig")

    @property
    def model_path(self):
        return sternpost.demo.path("model") if self.settings.base_model == "demo" else self.settings.base_model

    # ---- Options

    def training_kwargs(self):
        """Our keys as theirs, in a dictionary that becomes the options in the end."""
        cfg = self.settings
        training_kwargs = {
            "output_dir": cfg.output_dir,
            "max_length": cfg.sequence_len or 1024,
            "per_device_train_batch_size": cfg.micro_batch_size or 1,
            "per_device_eval_batch_size": cfg.micro_batch_size or 1,
            "gradient_accumulation_steps": cfg.gradient_accumulation_steps or 1,
            "max_steps": cfg.max_steps or -1,
            "learning_rate": cfg.learning_rate,
            "lr_scheduler_type": cfg.lr_scheduler or "cosine",
            "logging_steps": 1,
            "disable_tqdm": True,
            "report_to": "none",
            "use_cpu": True,
            "seed": cfg.seed or 7,
        }
        training_kwargs["eval_strategy"] = "steps" if cfg.eval_steps else "no"
        training_kwargs["save_strategy"] = "steps" if cfg.save_steps else "no"
        if cfg.eval_steps:
            training_kwargs["eval_steps"] = cfg.eval_steps
        if cfg.save_steps:
            training_kwargs["save_steps"] = cfg.save_steps
            training_kwargs["save_total_limit"] = 2
        if cfg.sample_packing:
            training_kwargs["packing"] = True
            training_kwargs["packing_strategy"] = "bfd"
            training_kwargs["eval_packing"] = False
        if cfg.train_on_inputs is not None:
            training_kwargs["completion_only_loss"] = not cfg.train_on_inputs
        if cfg.roles_to_train == ["assistant"]:
            training_kwargs["assistant_only_loss"] = True
        for name in ("weight_long_rows", "label_floor"):
            if cfg.get(name):
                training_kwargs[name] = cfg[name]
        return training_kwargs | (cfg.sft or {})

    def training_args(self):
        """The options; keys that the class does not have are reported before it does it in its own words."""
        training_kwargs = self.training_kwargs()
        known = {field.name for field in dataclasses.fields(self.args_cls)}
        unknown = sorted(set(training_kwargs) - known)
        if unknown:
            raise ValueError(f"{self.args_cls.__name__} does not know {', '.join(unknown)}")
        return self.args_cls(**training_kwargs)

    # ---- Data

    def load_rows(self):
        (one,) = self.settings.datasets
        rows = sternpost.demo.load(one["path"].removeprefix("demo:"))
        needed = one["rows"] + (self.settings.test_rows or 0)
        rows = rows.select(range(needed)).select_columns(
            [name for name in rows.column_names if name in ("messages", "prompt", "completion", "text")]
        )
        if not self.settings.test_rows:
            return rows, None
        return rows.select(range(one["rows"])), rows.select(range(one["rows"], needed))

    # ---- Trainer

    def trainer_kwargs(self, tokenizer):
        """What the constructor of the trainer takes, which differs between trainers."""
        takes = inspect.signature(self.trainer_cls.__init__).parameters
        anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values())
        kwargs = {}
        if "processing_class" in takes or anything:
            kwargs["processing_class"] = tokenizer
        else:
            kwargs["tokenizer"] = tokenizer
        if self.settings.adapter == "lora":
            kwargs["peft_config"] = get_peft_config(
                ModelConfig(use_peft=True, lora_r=self.settings.lora_r, lora_alpha=self.settings.lora_alpha)
            )
        if power := self.settings.confidence_power:
            kwargs["loss_fn"] = lambda logps: -logps * logps.detach().exp() ** power
        if self.settings.weight_long_rows:
            kwargs["data_collator"] = WeighingCollator(
                pad_token_id=tokenizer.pad_token_id, strength=self.settings.weight_long_rows
            )
        if anything:
            kwargs["run_tags"] = ["house"]
        return kwargs

    def build(self):
        """The trainer, ready to train."""
        tokenizer = AutoTokenizer.from_pretrained(self.model_path)
        model = AutoModelForCausalLM.from_pretrained(self.model_path)
        args = self.training_args()
        train_rows, test_rows = self.load_rows()
        callbacks = [TableCallback()]
        if self.settings.watch_loss_above:
            callbacks.append(WatchdogCallback(self.settings.watch_loss_above))
        return self.trainer_cls(
            model=model,
            args=args,
            train_dataset=train_rows,
            eval_dataset=test_rows,
            callbacks=callbacks,
            **self.trainer_kwargs(tokenizer),
        )
