"""The frame of every training command: options -> checked values -> model, rows and trainer -> a trained model.

A command adds its config class and a function that builds its trainer (`sft.py` is the pattern).
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from . import help as pages
from .arguments import Arguments, parse_arguments
from .errors import DEBUG, INTERRUPTED, OK, UsageError
from .fields import PACKAGE, Option, inherited_options, read_options
from .launch import COMMAND as TYPED
from .launch import (
    STOP_FILE,
    check_launched,
    hand_over,
    is_worker,
    precision_options,
    resume_command,
    typed_command,
)

SHARED = ("ModelConfig", "ScriptArguments", "DatasetMixtureConfig")
"""Config classes of `sternpost.options` that every training command has."""

SETTLING = 0.5
"""Seconds that threads of a group of processes have to finish what they began."""


class Inputs(NamedTuple):
    """What a command builds its trainer from."""

    model: str
    args: Any
    train_dataset: Any
    eval_dataset: Any
    peft_config: Any
    quantization_config: Any
    callbacks: list[Any]
    script_args: Any
    also: list[Any]
    """Objects of `Command.also`."""


class Command(NamedTuple):
    """A training command."""

    name: str
    title: str
    config: str
    """Name of the config class in `sternpost.<room>.config`."""
    room: str
    build: Callable[[Inputs], Any]
    also: tuple[str, ...] = ()
    """Config classes of `sternpost.options` that this command has besides `SHARED`."""
    check: Callable[[dict[str, Any]], None] | None = None
    """Raises a `UsageError` for values that are known to be wrong before anything is imported."""


# ---- Options


def own_options(command: Command) -> list[Option]:
    """The options that Sternpost defines: the method's, the model's and the data's."""
    options = read_options(PACKAGE / command.room / "config.py", command.config)
    for name in (*command.also, *SHARED):
        options += read_options(PACKAGE / "options.py", name)
    return options


def all_options(command: Command) -> list[Option]:
    """Every option of a command: its own, then those that it inherits and does not override."""
    own = own_options(command)
    names = {option.name for option in own}
    return own + [option for option in inherited_options() if option.name not in names]


def help_page(command: Command, full: bool) -> str:
    own = own_options(command)
    usage = [
        f"sternpost {command.name} --model MODEL --dataset DATASET [options]",
        f"sternpost {command.name} --config run.yaml [options]",
    ]
    return pages.page(command.title, usage, own, all_options(command)[len(own) :], full)


# ---- Running


def run(command: Command, argv: list[str]) -> int:
    """Run a training command and return its exit code.

    Raises:
        UsageError: the options are wrong; nothing heavy has been imported.
    """
    asked = {"--help", "-h", "--help-all", "--help_all"}.intersection(argv)
    if asked:
        print(help_page(command, full=bool(asked - {"--help", "-h"})))
        return OK
    arguments = parse_arguments(argv, all_options(command))
    check_before_import(arguments.values)
    if command.check is not None:
        command.check(arguments.values)
    if arguments.debug:
        os.environ[DEBUG] = "1"
    os.environ.update(arguments.env)
    typed = typed_command([command.name, *argv])
    if not is_worker() and arguments.launch:
        precision = precision_options(arguments.launch, arguments.values)
        return hand_over(arguments.launch, [command.name, *arguments.rest, *precision], typed)
    if arguments.launch and TYPED not in os.environ:
        raise UsageError(
            f"{arguments.launch[0]} starts processes, but a launcher already started this one: leave it out."
        )
    if not is_worker() and not arguments.values.get("use_cpu") and devices() > 1:
        print(f"{devices()} devices: a process for each. CUDA_VISIBLE_DEVICES restricts them.", file=sys.stderr)
        return hand_over(["--num_processes", str(devices())], [command.name, *arguments.rest], typed)
    code = train(command, arguments, typed)
    leave_processes()
    return code


def leave_processes() -> None:
    """Take the group of processes apart, once its threads are idle: one that still wants the interpreter would hang a
    run that ended well, or abort it at the end of the interpreter."""
    from accelerate import PartialState

    state = PartialState()
    if state.num_processes > 1:
        state.wait_for_everyone()
        time.sleep(SETTLING)
        state.destroy_process_group()


def check_before_import(values: dict[str, Any]) -> None:
    """What can be known to be wrong without loading anything.

    Raises:
        UsageError: model or rows are missing, or are certainly not there.
    """
    from ..sources import check_source, looks_local, nearest_file

    model, dataset, mixture = (values.get(name) for name in ("model_name_or_path", "dataset_name", "datasets"))
    if not model:
        raise UsageError("no model to train: give --model DIRECTORY, an id on the hub, or --model demo.")
    if dataset and mixture:
        raise UsageError(
            "`dataset_name` and `datasets` exclude each other: put the data set into the mixture, or drop one."
        )
    if not (dataset or mixture):
        raise UsageError(
            "no rows to train on: give --dataset FILE, a directory, an id on the hub, or --dataset demo:NAME."
        )
    try:
        for number, one in enumerate(mixture or []):
            if not one.get("path"):
                raise UsageError(f"`datasets[{number}].path` is missing.")
            check_source(one["path"], f"datasets[{number}].path")
        if dataset:
            check_source(dataset, "dataset_name")
        local = Path(model).expanduser()
        if looks_local(model) and not local.is_dir():
            raise FileNotFoundError(f"`model_name_or_path={model!r}` is no directory{nearest_file(local)}")
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error


def devices() -> int:
    import torch

    return torch.accelerator.device_count()


def train(command: Command, arguments: Arguments, typed: str) -> int:
    """Build the trainer, train, save; or, after Ctrl-C, say how to go on."""
    quiet_when_piped()
    from ..callbacks import RichProgressCallback, SaveOnInterruptCallback
    from ..checkpoints import last_whole, resolve_resume

    inputs = load_inputs(command, arguments.values)
    output_dir = inputs.args.output_dir
    checkpoint = resolve_resume(arguments.values.get("resume_from_checkpoint"), output_dir)
    progress, interrupt = RichProgressCallback(), SaveOnInterruptCallback(os.environ.get(STOP_FILE))
    inputs.callbacks.extend([progress, interrupt])
    trainer = command.build(inputs)
    prepare(trainer, inputs.script_args)
    transformers_logging().disable_progress_bar()  # ours shows what there is to show; the model is loaded
    try:
        with interrupt, progress:
            trainer.train(resume_from_checkpoint=checkpoint)
    except KeyboardInterrupt:
        say_how_to_resume(trainer, "Stopped at once.", last_whole(output_dir), typed)
        raise
    if interrupt.stopped:
        stopped = f"Stopped after step {trainer.state.global_step}."
        say_how_to_resume(trainer, stopped, interrupt.checkpoint, typed)
        return OK if is_worker() else INTERRUPTED
    trainer.save_model(output_dir)
    if trainer.is_world_process_zero():
        print(f"Saved the model to {output_dir}.")
    if inputs.args.push_to_hub:
        trainer.push_to_hub(dataset_name=inputs.script_args.dataset_name)
    return OK


def say_how_to_resume(trainer: Any, stopped: str, checkpoint: str | None, typed: str) -> None:
    """The last lines of an interrupted run."""
    if not trainer.is_world_process_zero():
        return
    if not checkpoint:
        print(f"{stopped} No checkpoint had been saved.")
    elif is_worker() and TYPED not in os.environ:
        print(f"{stopped} Resume with the same command and --resume_from_checkpoint {checkpoint}")
    else:
        print(f"{stopped} Resume with:\n{resume_command(typed, checkpoint)}")


def load_inputs(command: Command, values: dict[str, Any]) -> Inputs:
    """Config objects and rows from checked values.

    Raises:
        ValueError: options contradict each other, or the rows cannot be read.
    """
    import importlib

    from .. import options

    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and devices() == 0:
        values.setdefault("use_cpu", True)  # else accelerate would train in each process for itself
    model_args, script_args, mixture = (construct(getattr(options, name), values) for name in SHARED)
    loading = {"revision": model_args.model_revision, "dtype": model_args.dtype}
    if model_args.attn_implementation is not None:
        loading["attn_implementation"] = model_args.attn_implementation
    config = getattr(importlib.import_module(f"sternpost.{command.room}.config"), command.config)
    args = construct(config, values | {"model_init_kwargs": loading | (values.get("model_init_kwargs") or {})})
    train_rows, eval_rows = load_rows(script_args, mixture, args.eval_strategy != "no")
    return Inputs(
        model=model_path(model_args.model_name_or_path),
        args=args,
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        peft_config=options.get_peft_config(model_args),
        quantization_config=options.get_quantization_config(model_args),
        callbacks=[],
        script_args=script_args,
        also=[construct(getattr(options, name), values) for name in command.also],
    )


def construct(config: Any, values: dict[str, Any]) -> Any:
    """An object of a config class from the values that concern it."""
    import dataclasses

    try:
        return config(
            **{field.name: values[field.name] for field in dataclasses.fields(config) if field.name in values}
        )
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error


def model_path(name: str) -> str:
    if name == "demo":
        from .. import demo

        return demo.path("model")
    return str(Path(name).expanduser()) if name.startswith("~") else name


def load_rows(script_args: Any, mixture: Any, evaluate: bool) -> tuple[Any, Any]:
    """Rows to train on, and to evaluate on if asked for."""
    from ..options import get_dataset, hold_out
    from ..sources import load_splits, take_split

    if mixture.datasets:
        splits, name, train_split = get_dataset(mixture), "datasets", "train"
    else:
        name, train_split = script_args.dataset_name, script_args.dataset_train_split
        splits = load_splits(name, name=script_args.dataset_config, streaming=script_args.dataset_streaming)
        if mixture.test_split_size is not None:
            splits = hold_out(
                {"train": take_split(splits, train_split, "dataset_train_split", name)}, mixture.test_split_size
            )
            train_split = "train"
    held_out = take_split(splits, script_args.dataset_test_split, "dataset_test_split", name) if evaluate else None
    return take_split(splits, train_split, "dataset_train_split", name), held_out


def processor(inputs: Inputs) -> Any:
    """The processor that rows with images need; for other rows the trainer loads the tokenizer."""
    if not {"image", "images"}.intersection(inputs.train_dataset.column_names or ()):
        return None
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(inputs.model, trust_remote_code=inputs.args.trust_remote_code)


def prepare(trainer: Any, script_args: Any) -> None:
    """What remains to be set on a trainer that is built."""
    from transformers import PrinterCallback, ProgressCallback

    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    if script_args.ignore_bias_buffers:
        import torch

        buffers = [name for name, buffer in trainer.model.named_buffers() if buffer.dtype == torch.bool]
        trainer.model._ddp_params_and_buffers_to_ignore = buffers
    check_launched(trainer)


def quiet_when_piped() -> None:
    """No progress bars in a file, and none but the first process's on a terminal."""
    if not sys.stderr.isatty() or os.environ.get("LOCAL_RANK", "0") != "0":
        import datasets

        datasets.disable_progress_bars()
        transformers_logging().disable_progress_bar()


def transformers_logging() -> Any:
    from transformers.utils import logging

    return logging
