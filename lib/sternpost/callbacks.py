"""Callbacks of `transformers.Trainer`: progress on the terminal, and saving when a run is interrupted."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class RichProgressCallback(TrainerCallback):
    """Shows how a run goes: a live display in a terminal, one plain line per log anywhere else.

    Both give the step, the metrics, steps and tokens a second, the time that remains and the peak memory.

    Args:
        console: where to show it; by default the standard output.

    As a context manager around `trainer.train()` it gives the terminal back if the training ends by an exception.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.live: Live | None = None

    def __enter__(self) -> "RichProgressCallback":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.speed = Speed(state)
        if not state.is_world_process_zero:
            return
        if self.console.is_terminal:
            self.progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[rates]}", markup=False),
                console=self.console,
            )
            self.training = self.progress.add_task(
                "train", total=state.max_steps, completed=state.global_step, rates=""
            )
            self.evaluating: TaskID | None = None
            self.live = Live(self.progress, console=self.console, refresh_per_second=4)
            self.live.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.speed.step(state)
        if self.live:
            rates = " · ".join(f"{value} {unit}" for _, value, unit in self.speed.rates(state))
            self.progress.update(self.training, completed=state.global_step, rates=rates)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        logs = {name: value for name, value in (logs or {}).items() if name != "total_flos"}
        self.speed.log(logs, state)
        if not state.is_world_process_zero:
            return
        metrics = {name: shown(value) for name, value in logs.items()}
        if self.live:
            words = [f"{state.global_step:>{len(str(state.max_steps))}}"]
            words += [f"[dim]{name}[/dim] {value}" for name, value in metrics.items()]
            self.console.print("  ".join(words), highlight=False)
            return
        words = [f"step={state.global_step}/{state.max_steps}"]
        words += [f"{name}={value}" for name, value in metrics.items()]
        if "train_runtime" not in logs:
            words += [f"{name}={value}" for name, value, _ in self.speed.rates(state)]
        print(" ".join(words), file=self.console.file, flush=True)

    def on_prediction_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        eval_dataloader: Any = None,
        **_: Any,
    ) -> None:
        self.speed.pause()
        if self.live:
            if self.evaluating is None:
                total = len(eval_dataloader) if hasattr(eval_dataloader, "__len__") else None
                self.evaluating = self.progress.add_task("evaluate", total=total, rates="")
            self.progress.advance(self.evaluating)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.live and self.evaluating is not None:
            self.progress.remove_task(self.evaluating)
            self.evaluating = None

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back."""
        if self.live:
            self.live.stop()
            self.live = None


class Speed:
    """Steps and tokens a second, time that remains and memory, of the part of a run that this process has seen."""

    WINDOW = 50
    """Steps that the rate is averaged over."""

    def __init__(self, state: TrainerState) -> None:
        self.times = [time.perf_counter()]
        self.tokens = (state.num_input_tokens_seen, self.times[0])
        self.tokens_per_second: float | None = None

    def step(self, state: TrainerState) -> None:
        self.times = [*self.times[-self.WINDOW :], time.perf_counter()]

    def pause(self) -> None:
        """Start the average anew: evaluating is no step."""
        self.times = [time.perf_counter()]

    def log(self, logs: dict[str, Any], state: TrainerState) -> None:
        count = logs.get("num_tokens") or state.num_input_tokens_seen
        if count:
            now = time.perf_counter()
            if count > self.tokens[0]:
                self.tokens_per_second = (count - self.tokens[0]) / (now - self.tokens[1])
            self.tokens = (count, now)

    def rates(self, state: TrainerState) -> list[tuple[str, str, str]]:
        """What is known so far: name, value and the unit to show behind it."""
        rates = []
        steps, seconds = len(self.times) - 1, self.times[-1] - self.times[0]
        if steps and seconds:
            rates.append(("steps_per_second", f"{steps / seconds:.3g}", "steps/s"))
        if self.tokens_per_second:
            rates.append(("tokens_per_second", f"{self.tokens_per_second:.0f}", "tokens/s"))
        if steps and seconds and state.max_steps:
            rates.append(("eta", clock((state.max_steps - state.global_step) * seconds / steps), "left"))
        return [*rates, ("memory_gib", f"{peak_memory() / 2**30:.2f}", "GiB")]


class SaveOnInterruptCallback(TrainerCallback):
    """Ctrl-C or SIGTERM saves a checkpoint after the current step and ends the training; a second one stops at once.

    As a context manager around `trainer.train()` it gives the signals back however the training ends. With several
    processes each needs one of these; a signal to any of them stops all after the same step.

    Afterwards `stopped` says whether the training was ended, and `checkpoint` where it was saved.

    Args:
        stop_file: path of a file whose existence means the same as a signal.
    """

    def __init__(self, stop_file: str | os.PathLike[str] | None = None) -> None:
        self.stop_file = Path(stop_file) if stop_file else None
        self.requested = False
        self.stopped = False
        self.checkpoint = ""
        self.signals: dict[int, Any] = {}
        self.group: Any = None

    def __enter__(self) -> "SaveOnInterruptCallback":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.restore()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.requested, self.stopped, self.checkpoint = False, False, ""
        if torch.distributed.is_available() and torch.distributed.is_initialized() and args.world_size > 1:
            # On the CPU, so that asking each step whether to stop never waits for the device.
            self.group = torch.distributed.new_group(backend="gloo")
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.signals[number] = signal.signal(number, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.requested or self.stop_file_exists():
            self.restore()
            raise KeyboardInterrupt
        self.requested = True
        message = f"\n{signal.Signals(number).name}: saving after this step. Once more stops at once.\n"
        # In a thread: the signal may have interrupted someone who holds the lock of the stream.
        threading.Thread(target=print, args=(message,), kwargs={"file": sys.stderr, "flush": True}).start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.stopped = self.any_requested()
        if self.stopped:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def any_requested(self) -> bool:
        """Whether this process or another one is to stop."""
        requested = self.requested or self.stop_file_exists()
        if self.group is None:
            return requested
        flag = torch.tensor(int(requested))
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX, group=self.group)
        return bool(flag)

    def stop_file_exists(self) -> bool:
        return self.stop_file is not None and self.stop_file.exists()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.checkpoint = str(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self.signals.items():
            signal.signal(number, handler)
        self.signals = {}


def shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def peak_memory() -> int:
    """Bytes: of the device if there is one, else of this process."""
    if torch.accelerator.is_available() and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


__all__ = ["RichProgressCallback", "SaveOnInterruptCallback"]
