"""What `guard twins` prints, and what `guard twins --accept` does."""

from collections.abc import Sequence

from .lookalikes import LookAlike, look_alikes
from .settings import Settings
from .twins import Drift, Twins, TwinsError

MAX_SHOWN = 20


def report(settings: Settings) -> tuple[str, int]:
    """The text and the exit code: 1 if a pair drifted, or an entry or a marker is wrong; look-alikes are only told."""
    twins = Twins(settings)
    drifted, problems = twins.check()
    alike = look_alikes(twins)
    blocks = [f"cannot read  {problem}" for problem in twins.tree.problems]
    blocks += [f"twins  {problem}" for problem in problems]
    blocks += [_drift(drift) for drift in drifted]
    if alike:
        more = [f"... and {len(alike) - MAX_SHOWN} more."] if len(alike) > MAX_SHOWN else []
        blocks.append("\n".join([*(_look_alike(pair) for pair in alike[:MAX_SHOWN]), *more]))
    failed = bool(drifted or problems or twins.tree.problems)
    state = f"{len(drifted)} of {len(twins.pairs)} pairs drifted, {len(alike)} unregistered look-alikes"
    blocks.append(f"twins: {state}")
    return "\n\n".join(blocks) + "\n", int(failed)


def accept(settings: Settings, pair: Sequence[str], reason: str) -> tuple[str, int]:
    """Enter one pair, or the new difference of every pair that drifted.

    Raises:
        TwinsError: not two functions, one that does not exist, or no reason.
    """
    twins = Twins(settings)
    if len(pair) not in (0, 2):
        raise TwinsError(f"`--accept` takes two functions, or none for all pairs that drifted; got {len(pair)}.")
    drifted, _ = twins.check()
    pairs = [(pair[0], pair[1])] if pair else [(drift.pair.left, drift.pair.right) for drift in drifted]
    lines = []
    for left, right in pairs:
        entered = twins.accept(left, right, reason)
        lines.append(f"twins: {left} and {right} differ in {len(entered.difference)} lines, accepted")
    return "\n".join(lines or ["twins: nothing to accept: no pair drifted"]) + "\n", 0


def _drift(drift: Drift) -> str:
    """Lines that are new in the difference, then those that are gone from it."""
    pair = drift.pair
    fresh = [line for line in drift.found if line not in pair.difference]
    gone = [line for line in pair.difference if line not in drift.found]
    lines = [
        "DRIFT",
        f"  left:   {pair.left}   ({drift.left_at})",
        f"  right:  {pair.right}   ({drift.right_at})",
        f"  reason: {pair.reason}",
        *(f"  new:    {line}" for line in fresh),
        *(f"  gone:   {line}" for line in gone),
    ]
    if not fresh and not gone:
        lines.append("  the same lines differ in another order or number")
    command = f'guard twins --accept {pair.left} {pair.right} --reason "..."'
    return "\n".join([*lines, f"  Make the same change on the other side, or accept it: {command}"])


def _look_alike(pair: LookAlike) -> str:
    return f"alike {pair.alike:.0%}  {pair.left} ({pair.left_at})  {pair.right} ({pair.right_at})"
