"""Check what a change breaks for others: snapshots of the public surface and their differences."""


def main(argv: list[str]) -> int:
    """Hand over to the guard, which has a command line of its own."""
    from ..guard.cli import main as guard

    return guard(argv)
