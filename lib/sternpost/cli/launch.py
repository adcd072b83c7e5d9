"""Several processes: the flags of `accelerate launch` on our command line, and handing over to it.

Three processes play a part. The command that the user typed has checked the options and stays light: it keeps the
keyboard (`hand_over`). It starts this file as a module, which calls accelerate's launcher (`main`). That starts the
workers, which are the same command again without the launch flags.
"""

import ast
import functools
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from .errors import FAILED, INTERRUPTED, OK, USAGE, UsageError, nearest
from .fields import literal, package_file, parse

CONFIGS = Path(__file__).parent / "accelerate_configs"

STOP_FILE = "STERNPOST_STOP_FILE"
"""Environment variable with the path of a file: once it exists, the workers save and stop after their current step."""

COMMAND = "STERNPOST_COMMAND"
"""Environment variable with the command that the user typed, for workers that say how to resume."""

NOT_OURS = {"help", "module", "no_python", "training_script", "training_script_args"}
PRECISION = {"no": ("false", "false"), "bf16": ("true", "false"), "fp16": ("false", "true")}


class LaunchFlag(NamedTuple):
    """A flag of `accelerate launch`."""

    takes_value: bool
    choices: tuple[str, ...] = ()
    integer: bool = False


@functools.cache
def launch_flags() -> dict[str, LaunchFlag]:
    """The flags of the installed accelerate, read from its source, because importing it takes seconds; and our own."""
    flags = {"accelerate_config": LaunchFlag(takes_value=True)}
    for node in ast.walk(parse(package_file("accelerate", "commands/launch.py")).tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            names = [str(literal(argument, "")) for argument in node.args]
            keywords = {str(keyword.arg): literal(keyword.value, ()) for keyword in node.keywords}
            takes_value = "store" not in str(keywords.get("action", ""))
            choices = tuple(str(choice) for choice in keywords.get("choices", ()))
            integer = any(keyword.arg == "type" and ast.unparse(keyword.value) == "int" for keyword in node.keywords)
            flag = LaunchFlag(takes_value, choices, integer)
            flags |= {name[2:]: flag for name in names if name.startswith("--")}
    return {name: flag for name, flag in flags.items() if name not in NOT_OURS}


def config_file(name: str) -> str:
    """The path of a configuration of accelerate: one of ours by name, or a file.

    Raises:
        UsageError: neither exists.
    """
    ours = {file.stem: file for file in sorted(CONFIGS.glob("*.yaml"))}
    if name in ours:
        return str(ours[name])
    if Path(name).expanduser().is_file():
        return str(Path(name).expanduser())
    raise UsageError(
        f"--accelerate_config must be a file or one of {', '.join(ours)}, but got {name}.{nearest(name, list(ours))}"
    )


def precision_options(launch: list[str], values: dict[str, Any]) -> list[str]:
    """The training options that `--mixed_precision` stands for, so that the flag holds against their defaults.

    Raises:
        UsageError: they are given too and say something else.
    """
    precision = launch[launch.index("--mixed_precision") + 1] if "--mixed_precision" in launch else ""
    if precision not in PRECISION:
        return []
    options = dict(zip(("bf16", "fp16"), PRECISION[precision]))
    for name, wanted in options.items():
        if values.get(name) is not None and str(values[name]).lower() != wanted:
            raise UsageError(f"--mixed_precision {precision} contradicts `{name}`, which is {values[name]}. Give one.")
    return [f"--{name}={value}" for name, value in options.items() if value == "true" or name == "bf16"]


def is_worker() -> bool:
    """Whether a launcher started this process, as one of several or alone."""
    return COMMAND in os.environ or "WORLD_SIZE" in os.environ or "ACCELERATE_MIXED_PRECISION" in os.environ


def hand_over(launch: list[str], command: list[str], typed: str) -> int:
    """Run a command in the processes that the launch flags ask for, and return the exit code.

    Ctrl-C and SIGTERM stay here: the launcher would give its workers 30 seconds to save and then kill them. The first
    one asks the workers to stop after their step, the second one ends them.
    """
    import signal
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(prefix="sternpost-") as folder:
        stop = Path(folder) / "stop"
        environment = os.environ | {STOP_FILE: str(stop), COMMAND: typed}
        words = [sys.executable, "-m", __name__, *launch, "-m", "sternpost.cli", *command]
        process = subprocess.Popen(words, env=environment, start_new_session=True)

        def ask(number: int, _: Any) -> None:
            if stop.exists():
                process.terminate()
            else:
                stop.touch()
                os.write(2, b"\nStopping after this step and saving. Once more stops at once.\n")

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            code = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if stop.exists():
            return INTERRUPTED
        return code if code in (OK, USAGE) else FAILED


def typed_command(argv: list[str]) -> str:
    """The command with these arguments, as a shell starts it again; for a worker the one that the user typed."""
    import shlex
    import shutil

    if COMMAND in os.environ:
        return os.environ[COMMAND]
    script = Path(sys.argv[0])
    if script.name != "sternpost" or not script.is_file():
        return shlex.join([sys.executable, "-m", "sternpost.cli", *argv])
    found = shutil.which("sternpost")
    return shlex.join(["sternpost" if found and script.samefile(found) else str(script), *argv])


def resume_command(typed: str, checkpoint: str) -> str:
    """What to type to go on from a checkpoint."""
    import shlex

    kept, skip = [], False
    for word in shlex.split(typed):
        if word.startswith("--"):
            skip = word.split("=")[0].replace("-", "_") == "__resume_from_checkpoint"
        if not skip:
            kept.append(word)
    return shlex.join([*kept, "--resume_from_checkpoint", checkpoint])


def check_launched(trainer: Any) -> None:
    """Raise if the processes do not train the way that they were started for.

    Raises:
        RuntimeError: each trains for itself, or the weights are not sharded.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if trainer.args.world_size != world_size:
        raise RuntimeError(
            f"{world_size} processes were started, but they train as {trainer.args.world_size}: start them by "
            "`--num_processes` of this command, or by `accelerate launch` for the devices that are there."
        )
    sharded = str(trainer.accelerator.distributed_type.value)
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true" and sharded != "FSDP":
        raise RuntimeError(
            f"FSDP was asked for, but accelerate does not shard on these devices ({sharded}). Use --accelerate_config "
            "multi_gpu, or --num_processes alone."
        )


# ---- In the process that becomes the launcher


def main(argv: list[str]) -> int:
    """Call accelerate's launcher and return the exit code; a worker that failed has already said why."""
    import logging
    import subprocess

    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch import accelerator
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    split = argv.index("-m")
    launch, command = complete(argv[:split], accelerator.device_count()), argv[split:]
    if "--cpu" in argv[:split]:
        os.environ["ACCELERATE_USE_CPU"] = "true"
    if "--debug" not in command:
        elastic = "torch.distributed.elastic"  # its loggers set their own levels
        for name in (f"{elastic}.multiprocessing.api", f"{elastic}.agent.server.api", "accelerate.commands.launch"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        launch_command(launch_command_parser().parse_args([*launch, *command]))
    except ChildFailedError as error:
        return USAGE if error.get_first_failure()[1].exitcode == USAGE else FAILED
    except subprocess.CalledProcessError as error:
        return USAGE if error.returncode == USAGE else FAILED
    except SignalException:
        return FAILED
    except (ValueError, ImportError, OSError) as error:
        print(f"sternpost: error: the processes cannot be started: {error}", file=sys.stderr)
        return FAILED
    return OK


def complete(launch: list[str], devices: int) -> list[str]:
    """The launch flags with what they leave open: by default a process for each device."""
    launch = list(launch)
    processes = processes_of(launch)
    if processes is None:
        processes = max(1, devices)
        launch += ["--num_processes", str(processes)]
    if "--cpu" in launch and processes > 1 and "--mpirun_hostfile" not in launch:
        # accelerate starts several CPU processes only by MPI, and without it silently one; torchrun needs no MPI.
        launch[launch.index("--cpu")] = "--multi_gpu"
        launch += [] if "--main_process_port" in launch else ["--main_process_port", "0"]
    elif processes == 1 and devices > 1 and not {"--cpu", "--gpu_ids"}.intersection(launch):
        launch += ["--gpu_ids", "0"]  # else the one process would see them all
    return launch


def processes_of(launch: list[str]) -> int | None:
    """How many processes the flags, or the configuration that they name, ask for."""
    if "--num_processes" in launch:
        return int(launch[launch.index("--num_processes") + 1])
    if "--config_file" not in launch:
        return None
    import yaml

    config = yaml.safe_load(Path(launch[launch.index("--config_file") + 1]).read_text("utf-8"))  # JSON is YAML
    return config.get("num_processes") if isinstance(config, dict) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
