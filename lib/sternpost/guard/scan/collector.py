"""Python's garbage collector, out of the way while syntax trees grow.

Each of its full passes walks every node of every tree that is alive, and building trees sets off many: half of the time
of a scan went there. Trees hold no cycles until names are followed, so that there is nothing to find meanwhile.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


# twin: sternpost._uncollected
@contextmanager
def paused() -> Iterator[None]:
    """No collections inside; those who turned the collector off themselves find it off."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def keeping_what_is_there() -> Iterator[None]:
    """What exists now is left out of collections inside: `gc.collect()` costs what came since."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
