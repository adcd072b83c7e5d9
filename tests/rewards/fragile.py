"""Rewards that other processes import: some hang, some die."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sternpost.rewards import isolated

NO_NUMBERS = object()


def lengths(completions, **kwargs):
    return [len(completion) for completion in completions]


async def slow_lengths(completions):
    await asyncio.sleep(0.01)
    return [len(completion) for completion in completions]


def hangs_for(completions, seconds):
    time.sleep(seconds[0])
    return [1.0] * len(completions)


def starts_another(completions, marker):
    """And waits for it; its number is in a file."""
    other = subprocess.Popen(["sleep", "600"])
    Path(marker[0]).write_text(str(other.pid))
    other.wait()


def dies(completions):
    os._exit(3)


def is_killed_once(completions, marker):
    """The first process that gets here is killed, the second one is not."""
    if not Path(marker[0]).exists():
        Path(marker[0]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return [2.0] * len(completions)


def raises(completions):
    raise KeyError("solution")


def notes(completions, log_extra, log_metric):
    print("this must not get between the answers")
    log_extra("process", [os.getpid()] * len(completions))
    log_metric("secrets", sum("SECRET" in name for name in os.environ))
    log_metric("devices", len(os.environ["CUDA_VISIBLE_DEVICES"]))
    log_metric("torch", "torch" in sys.modules)
    return [None, *[0.5] * (len(completions) - 1)]


def returns_objects(completions):
    return [NO_NUMBERS] * len(completions)


def wants_state(completions, trainer_state):
    return [trainer_state.global_step] * len(completions)


@isolated
def wrapped(completions):
    return [float(len(completions))] * len(completions)
