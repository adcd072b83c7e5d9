"""The garbage collector while trees grow."""

import gc

from sternpost.guard.scan.collector import keeping_what_is_there, paused


def test_it_is_as_it_was_afterwards():
    """On if it was on, also after an error; off if it was off."""
    assert gc.isenabled()
    try:
        with paused():
            assert not gc.isenabled()
            raise ValueError
    except ValueError:
        pass
    assert gc.isenabled()
    with paused():
        with paused():
            pass
        assert not gc.isenabled()


def test_what_is_kept_is_collected_again_later():
    """Nothing stays frozen."""
    before = gc.get_freeze_count()
    with keeping_what_is_there():
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0
