"""Short runs that do not wait for the garbage collector."""

import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def leave_loaded_modules_alone() -> None:
    """Every run ends with a collection of all garbage, which looks at each object of torch and transformers."""
    gc.collect()
    gc.freeze()
