"""The reference's log-probabilities of all pairs, computed once and kept on disk.

They are stored in chunks under a fingerprint of rows, weights and options: an interrupted run goes on with the chunk it
was at, and values of other rows, weights or options are never taken for these.
"""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from datasets import Dataset
from torch import Tensor
from tqdm.auto import tqdm

from .config import DPOConfig
from .data import REFERENCE, TOKENS

logger = logging.getLogger(__name__)

CHUNK_BATCHES = 32
"""Batches per device in a chunk: what an interruption costs at most."""

Scorer = Callable[[dict[str, Any]], tuple[Tensor, Tensor]]
"""Batch -> the reference's log-probability of each chosen and of each rejected answer."""


def precompute(
    dataset: Dataset,
    score: Scorer,
    collate: Callable[[list[Any]], dict[str, Any]],
    accelerator: Accelerator,
    folder: Path,
    batch_size: int,
    title: str,
) -> Dataset:
    """The data set with the columns of `REFERENCE`. Every rank takes part; `folder` belongs to these rows only."""
    step = batch_size * accelerator.num_processes
    chunks = [range(start, min(start + step * CHUNK_BATCHES, len(dataset)))
              for start in range(0, len(dataset), step * CHUNK_BATCHES)]  # fmt: skip
    done = shared([stored(folder, at) for at in range(len(chunks))])
    if any(done):
        logger.info("%s: %d of %d chunks found in %s", title, sum(done), len(chunks), folder)
    bar = tqdm(total=len(dataset), desc=title, disable=not accelerator.is_local_main_process or all(done))
    for at, rows in enumerate(chunks):
        if not done[at]:
            values = score_chunk(dataset, rows, score, collate, accelerator, batch_size)
            if accelerator.is_main_process:
                store(folder, at, values)
        bar.update(len(rows))
    bar.close()
    table = shared(
        np.concatenate([load(folder, at) for at in range(len(chunks))]) if accelerator.is_main_process else 0
    )
    for column, values in zip(REFERENCE, table.T, strict=True):
        if column in dataset.column_names:
            dataset = dataset.remove_columns(column)
        dataset = dataset.add_column(column, values.tolist())
    return dataset


def check_precomputed(batch: dict[str, Any]) -> None:
    """Raise for a batch that has lost its values: the policy is no longer the reference that they came from."""
    missing = [f"`{name}`" for name in REFERENCE if name not in batch]
    if missing:
        raise ValueError(
            f"`precompute_ref_log_probs=True`, but the batch holds no {' and no '.join(missing)}. Let your "
            "`data_collator` keep the columns of these names."
        )


def score_chunk(
    dataset: Dataset,
    rows: range,
    score: Scorer,
    collate: Callable[[list[Any]], dict[str, Any]],
    accelerator: Accelerator,
    batch_size: int,
) -> np.ndarray:
    """`[rows, 2]`: the values of some rows. Each rank does as many batches, the last ones perhaps with rows again."""
    ranks, rank = accelerator.num_processes, accelerator.process_index
    found: list[tuple[int, float, float]] = []
    for start in range(rows.start, rows.stop, batch_size * ranks):
        own = range(start + rank * batch_size, start + (rank + 1) * batch_size)
        numbers = [number for number in own if number < rows.stop] or [rows.stop - 1]
        columns = score(collate([dataset[number] for number in numbers]))
        found += zip(numbers, *(column.tolist() for column in columns), strict=True)
    values = np.empty((len(rows), 2))
    for number, chosen, rejected in gather_object(found):
        values[number - rows.start] = chosen, rejected
    return values


def stored(folder: Path, chunk: int) -> bool:
    return (folder / f"{chunk:06d}.npy").exists()


def load(folder: Path, chunk: int) -> np.ndarray:
    return np.load(folder / f"{chunk:06d}.npy", allow_pickle=False)


def store(folder: Path, chunk: int, values: np.ndarray) -> None:
    """Write a chunk such that it is there whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{chunk:06d}.unfinished"
    with unfinished.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    unfinished.replace(folder / f"{chunk:06d}.npy")


def shared(value: Any) -> Any:
    """The value of the first rank."""
    return broadcast_object_list([value])[0]


def fingerprint(dataset: Dataset, weights: str, args: DPOConfig) -> str:
    """What decides the reference's values: tokens, weights, and the options that cut rows or weigh tokens."""
    digest = hashlib.sha256(weights.encode())
    digest.update(repr([args.max_length, args.truncation_mode, args.ld_alpha, args.bf16, args.fp16]).encode())
    for table in dataset.select_columns(list(TOKENS)).with_format("arrow").iter(batch_size=1000):
        for column in table.columns:
            values = column.combine_chunks()
            digest.update(np.asarray(values.value_lengths()).tobytes())
            digest.update(np.asarray(values.flatten()).tobytes())
    return digest.hexdigest()[:32]


def digest_of_weights(model: Any) -> str:
    """A digest of all weights: of each its name, shape, dtype, sums and some values."""
    digest = hashlib.sha256()
    with torch.no_grad():
        for name, weight in [*model.named_parameters(), *model.named_buffers()]:
            flat = weight.detach().flatten()
            picked = flat[:: max(1, len(flat) // 64)].double().tolist()
            sums = [flat.sum(dtype=torch.float64).item()]
            if flat.is_floating_point():
                sums.append(torch.linalg.vector_norm(flat, dtype=torch.float64).item())
            digest.update(repr([name, tuple(weight.shape), str(weight.dtype), sums, picked]).encode())
    return digest.hexdigest()
