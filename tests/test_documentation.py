"""What the documents say: links lead somewhere, and the examples of the README run as printed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "changelog.d" / "README.md"]


def find_blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_that_exist(page: Path):
    """Every relative link of a page names a file of the repository."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


def test_readme_example_runs(tmp_path: Path):
    """The Python example trains and saves a model; here it takes two steps instead of all of them."""
    (example,) = find_blocks(README, "python")
    source = example.replace("SFTConfig(output_dir=", "SFTConfig(max_steps=2, output_dir=")
    assert source != example
    done = subprocess.run([sys.executable, "-c", source], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "first" / "model.safetensors").is_file()


def test_readme_command_runs(tmp_path: Path):
    """The first shell example trains and saves a model; here it takes two steps instead of all of them."""
    lines = [line for block in find_blocks(README, "bash") for line in block.splitlines()]
    command = next(line for line in lines if line.startswith("sternpost sft --model demo"))
    arguments = [sys.executable, "-m", "sternpost.cli", *shlex.split(command)[1:], "--max_steps", "2"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "first" / "model.safetensors").is_file()
