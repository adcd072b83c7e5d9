"""What is particular to `sternpost sft`: rows with images, streamed rows, a resumed run."""

import json

import pytest

from sternpost.cli import main


def test_rows_with_images_get_the_processor(tmp_path):
    """A vision-language model is trained from a saved data set with images by nothing but its path."""
    vision = pytest.importorskip("tests.sft.test_vision_language", reason="needs Pillow")
    processor = vision.processor()
    vision.model(processor).save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    vision.rows("messages").save_to_disk(tmp_path / "rows")
    argv = [
        "--model",
        str(tmp_path / "model"),
        "--dataset",
        str(tmp_path / "rows"),
        "--output_dir",
        str(tmp_path / "out"),
    ]
    assert main(["sft", *argv, "--max_steps", "1", "--per_device_train_batch_size", "2", "--use_cpu"]) == 0
    assert (tmp_path / "out" / "preprocessor_config.json").exists() or (
        tmp_path / "out" / "processor_config.json"
    ).exists()


def test_streamed_rows_train(tmp_path, capsys):
    """`--dataset_streaming` reads the same rows lazily."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": f"the number {i}"}) + "\n" for i in range(20)))
    argv = ["--model", "demo", "--dataset", str(rows), "--dataset_streaming", "--output_dir", str(tmp_path / "out")]
    assert main(["sft", *argv, "--max_steps", "2", "--logging_steps", "1", "--save_strategy", "no", "--use_cpu"]) == 0
    assert "step=2/2 loss=" in capsys.readouterr().out


def test_resumed_run_goes_on(tmp_path, capsys):
    """`--resume_from_checkpoint` alone takes the newest whole checkpoint, past one that was never finished."""
    argv = ["sft", "--model", "demo", "--dataset", "demo:text", "--output_dir", str(tmp_path), "--max_steps", "3"]
    argv += ["--save_steps", "1", "--logging_steps", "1", "--per_device_train_batch_size", "2", "--use_cpu"]
    assert main(argv) == 0
    whole = capsys.readouterr().out.splitlines()
    (tmp_path / "checkpoint-3" / "trainer_state.json").unlink()
    assert main([*argv, "--resume_from_checkpoint"]) == 0
    again = capsys.readouterr().out.splitlines()
    assert again[0].split(" steps_per_second")[0] == whole[2].split(" steps_per_second")[0]
