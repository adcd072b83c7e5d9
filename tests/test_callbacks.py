"""Callbacks: what a run shows, and what happens to it when it is interrupted."""

import io
import os
import re
import signal
from pathlib import Path

import pytest
from datasets import Dataset
from rich.console import Console
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from sternpost import RichProgressCallback, SFTConfig, SFTTrainer
from sternpost.callbacks import SaveOnInterruptCallback, clock

from . import tiny


def trainer(path: Path, *callbacks: TrainerCallback, **options) -> SFTTrainer:
    """A trainer of a tiny model with only these callbacks to report."""
    args = SFTConfig(
        output_dir=str(path), report_to="none", max_steps=6, logging_steps=2, per_device_train_batch_size=4,
        use_cpu=True, save_strategy="no", **options,
    )  # fmt: skip
    rows = Dataset.from_list(tiny.conversations())
    made = SFTTrainer(
        tiny.model(), args, train_dataset=rows, eval_dataset=rows, processing_class=tiny.tokenizer(),
        callbacks=list(callbacks),
    )  # fmt: skip
    for other in (PrinterCallback, ProgressCallback):
        made.remove_callback(other)
    return made


def test_piped_output_is_one_plain_line_per_log(tmp_path):
    """Step, metrics, both rates, the time that remains and memory, as `name=value`; no control characters."""
    out = io.StringIO()
    trainer(tmp_path, RichProgressCallback(Console(file=out)), eval_strategy="steps", eval_steps=6).train()
    lines = out.getvalue().splitlines()
    pattern = (
        r"step=4/6 loss=\d\S* grad_norm=\S+ learning_rate=\S+ entropy=\S+ mean_token_accuracy=\S+ num_tokens=\d+ "
        r"epoch=\S+ steps_per_second=\S+ tokens_per_second=\d+ eta=0:00:\d\d memory_gib=\d\.\d\d"
    )
    assert re.fullmatch(pattern, lines[1]), lines[1]
    assert [line.split()[0] for line in lines] == ["step=2/6", "step=4/6", "step=6/6", "step=6/6", "step=6/6"]
    assert "eval_loss=" in lines[3]
    assert "train_runtime=" in lines[4]
    assert "\x1b" not in out.getvalue()


def test_terminal_shows_a_bar_with_rates(tmp_path):
    """A terminal gets the records above a live bar that ends complete."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=140, color_system=None)
    callback = RichProgressCallback(console)
    trainer(tmp_path, callback, eval_strategy="steps", eval_steps=3).train()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert "6/6" in shown
    assert re.search(r"steps/s · \d+ tokens/s · 0:00:00 left · \d\.\d\d GiB", shown)
    assert re.search(r"4  loss \d", shown)
    assert callback.live is None


def test_terminal_is_given_back_after_an_exception(tmp_path):
    """As a context manager the display ends however the training does."""

    class Fails(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            raise RuntimeError("no more")

    callback = RichProgressCallback(Console(file=io.StringIO(), force_terminal=True))
    with pytest.raises(RuntimeError, match="no more"), callback:
        trainer(tmp_path, callback, Fails()).train()
    assert callback.live is None


def test_other_processes_show_nothing(tmp_path):
    """Only the first process of a run reports."""
    out = io.StringIO()
    made = trainer(tmp_path, RichProgressCallback(Console(file=out)))
    made.is_world_process_zero = lambda: False
    made.state.is_world_process_zero = False
    made.callback_handler.on_train_begin(made.args, made.state, made.control)
    made.callback_handler.on_log(made.args, made.state, made.control, {"loss": 1.0})
    assert out.getvalue() == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00:00"), (61, "0:01:01"), (36_000, "10:00:00")])
def test_time_that_remains_reads_as_a_clock(seconds, text):
    """Hours are not cut off."""
    assert clock(seconds) == text


# ---- Interrupting


class SignalAt(TrainerCallback):
    """Sends this process signals in the middle of a step."""

    def __init__(self, step: int, *numbers: int) -> None:
        self.step, self.numbers = step, numbers

    def on_pre_optimizer_step(self, args, state, control, **_):
        if state.global_step == self.step - 1:
            for number in self.numbers:
                os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_saves_after_the_step(tmp_path, number):
    """The step is finished and saved, no more steps are made, evaluation is left out, and the handlers go back."""
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    interrupt = SaveOnInterruptCallback()
    made = trainer(tmp_path, interrupt, SignalAt(3, number), eval_strategy="steps", eval_steps=1)
    made.train()
    assert made.state.global_step == 3
    assert interrupt.stopped
    assert interrupt.checkpoint == str(tmp_path / "checkpoint-3")
    assert (tmp_path / "checkpoint-3" / "trainer_state.json").is_file()
    assert [line["step"] for line in made.state.log_history if "eval_loss" in line] == [1, 2]
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_second_signal_stops_at_once(tmp_path):
    """Nothing is saved, and the handlers go back."""
    before = signal.getsignal(signal.SIGINT)
    interrupt = SaveOnInterruptCallback()
    with pytest.raises(KeyboardInterrupt), interrupt:
        trainer(tmp_path, interrupt, SignalAt(3, signal.SIGINT, signal.SIGINT)).train()
    assert not list(tmp_path.glob("checkpoint-*"))
    assert signal.getsignal(signal.SIGINT) is before


def test_file_asks_as_a_signal_does(tmp_path):
    """For launchers that cannot reach the workers by a signal."""

    class Touch(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            if state.global_step == 1:
                (tmp_path / "stop").touch()

    interrupt = SaveOnInterruptCallback(tmp_path / "stop")
    made = trainer(tmp_path / "run", interrupt, Touch())
    made.train()
    assert made.state.global_step == 2
    assert interrupt.checkpoint == str(tmp_path / "run" / "checkpoint-2")


def test_signal_after_the_file_is_the_second(tmp_path):
    """Whichever way the first request came, the next one stops at once."""
    (tmp_path / "stop").touch()
    interrupt = SaveOnInterruptCallback(tmp_path / "stop")
    with pytest.raises(KeyboardInterrupt), interrupt:
        trainer(tmp_path / "run", interrupt, SignalAt(1, signal.SIGTERM)).train()
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_signal_after_the_last_step_comes_too_late(tmp_path):
    """The training is over: it was not stopped, so whoever asks goes on to save the model."""

    class SignalAtTheEnd(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            if state.global_step == state.max_steps:
                os.kill(os.getpid(), signal.SIGINT)

    interrupt = SaveOnInterruptCallback()
    trainer(tmp_path, interrupt, SignalAtTheEnd()).train()
    assert (interrupt.requested, interrupt.stopped, interrupt.checkpoint) == (True, False, "")


def test_run_without_a_signal_is_left_alone(tmp_path):
    """The callback changes nothing by being there."""
    interrupt = SaveOnInterruptCallback()
    made = trainer(tmp_path, interrupt)
    made.train()
    assert (made.state.global_step, interrupt.stopped, interrupt.checkpoint) == (6, False, "")
    assert not list(tmp_path.glob("checkpoint-*"))
