"""What a failure looks like: one message and an exit code; the traceback only where it helps."""

import os
import sys

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

DEBUG = "STERNPOST_DEBUG"


class UsageError(ValueError):
    """The command line or the config file says something that it cannot say."""


def nearest(word: str, words: list[str]) -> str:
    """` Did you mean ...?` for the most similar word, or nothing."""
    import difflib

    near = difflib.get_close_matches(word, words, n=1, cutoff=0.55)
    return f" Did you mean {near[0]}?" if near else ""


def is_ours(error: BaseException) -> bool:
    """Whether Sternpost raised this to tell the user something, rather than stumbled over it in foreign code."""
    if isinstance(error, OSError):
        return True
    if not isinstance(error, ValueError | TypeError | RuntimeError | ImportError | KeyError):
        return False
    import traceback

    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_globals.get("__name__", "").split(".")[0] == "sternpost"


def report(command: str, error: BaseException, code: int) -> int:
    """Print an error and return the exit code: a traceback only in debug mode or if we did not raise the error."""
    usage = isinstance(error, UsageError)
    if usage and os.environ.get("LOCAL_RANK", "0") != "0":
        return code  # the first process says the same
    if os.environ.get(DEBUG) or not (usage or is_ours(error)):
        import traceback

        traceback.print_exception(error)
    print(f"{command}: error: {error or type(error).__name__}", file=sys.stderr)
    if usage:
        print(f"`{command} --help` lists the options.", file=sys.stderr)
    return code
