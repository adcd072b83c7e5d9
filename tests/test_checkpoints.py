"""Checkpoints are whole or not there, and a run is resumed from a whole one."""

from pathlib import Path

import pytest

from sternpost.checkpoints import all_or_nothing, check_writable, is_whole, last_whole, resolve_resume


def make_checkpoint(run: Path, step: int, whole: bool = True) -> Path:
    path = run / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").touch()
    if whole:
        (path / "trainer_state.json").write_text("{}")
    return path


def test_failed_save_leaves_nothing(tmp_path):
    """What was written before the failure is gone, and the error says why and what to do."""
    target = tmp_path / "checkpoint-7"

    def save():
        with all_or_nothing(target):
            (target / "sub").mkdir(parents=True)
            (target / "sub" / "weights").write_text("half")
            (target / "trainer_state.json").write_text("{}")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left.*resume_from_checkpoint"):
        save()
    assert not target.exists()


def test_failed_save_keeps_what_was_there_before(tmp_path):
    """Files of the user in the directory stay; a checkpoint that was overwritten half-way no longer counts as whole."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "trainer_state.json").write_text("{}")

    def save():
        with all_or_nothing(tmp_path):
            (tmp_path / "model.safetensors").write_text("half")
            raise RuntimeError("writer died")

    with pytest.raises(OSError, match="writer died"):
        save()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert not is_whole(tmp_path)


def test_successful_save_stays(tmp_path):
    """Nothing is removed when nothing fails."""
    with all_or_nothing(tmp_path / "run"):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "model").touch()
    assert (tmp_path / "run" / "model").exists()


def test_last_whole_is_by_number(tmp_path):
    """Checkpoint 10 is newer than 9; interrupted ones and other directories do not count."""
    for step in (9, 10):
        make_checkpoint(tmp_path, step)
    make_checkpoint(tmp_path, 11, whole=False)
    (make_checkpoint(tmp_path, 12) / "checkpoint-is-incomplete.txt").touch()
    (tmp_path / "checkpoint-best").mkdir()
    assert last_whole(tmp_path) == str(tmp_path / "checkpoint-10")
    assert last_whole(tmp_path / "absent") is None


def test_resolve_resume(tmp_path):
    """True finds the last whole checkpoint, a path must be one, and nothing means a fresh start."""
    make_checkpoint(tmp_path, 2)
    broken = make_checkpoint(tmp_path, 3, whole=False)
    assert resolve_resume(None, tmp_path) is None
    assert resolve_resume(False, tmp_path) is None
    assert resolve_resume(True, tmp_path) == str(tmp_path / "checkpoint-2")
    assert resolve_resume(str(tmp_path / "checkpoint-2"), "elsewhere") == str(tmp_path / "checkpoint-2")
    with pytest.raises(ValueError, match=r"interrupted.*checkpoint-2"):
        resolve_resume(str(broken), tmp_path)
    with pytest.raises(ValueError, match="no whole checkpoint"):
        resolve_resume(True, tmp_path / "absent")


def test_unwritable_directory_is_found_early(tmp_path):
    """A directory that cannot be made is an error before any work, of the kind that the system gave."""
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="output_dir"):
        check_writable(tmp_path / "file" / "run")
    check_writable(tmp_path / "new" / "run")
    assert list((tmp_path / "new" / "run").iterdir()) == []
