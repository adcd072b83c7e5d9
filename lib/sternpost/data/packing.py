"""Tokenised rows -> rows filled up to a length.

Best fit decreasing: https://huggingface.co/papers/2404.10830, section 3.
"""

import bisect
from collections import deque
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, List, Value

DatasetType = TypeVar("DatasetType", Dataset, DatasetDict, IterableDataset, IterableDatasetDict)


def pack_dataset(
    dataset: DatasetType, seq_length: int, strategy: str = "bfd", map_kwargs: dict[str, Any] | None = None
) -> DatasetType:
    """Tokenised rows packed into rows of at most `seq_length` tokens, map batch by map batch.

    Every column must hold lists as long as those of the others: ids, labels, masks. With `bfd` and `bfd_split` the
    column `seq_lengths` says where rows begin and end. `bfd` puts whole rows together, the longest first, each where it
    fits best, and cuts off what is beyond `seq_length`; `bfd_split` makes rows of what is cut off; `wrapped` cuts the
    stream of all rows every `seq_length` tokens, also inside rows.

    Raises:
        ValueError: the strategy is unknown, `seq_length` is not positive, or two columns differ in length.
        TypeError: a column holds no lists.
    """
    if strategy not in ("bfd", "bfd_split", "wrapped"):
        raise ValueError(f'`strategy={strategy!r}` is not one of "bfd", "bfd_split", "wrapped".')
    if seq_length < 1:
        raise ValueError(f"`seq_length={seq_length}` must be positive.")
    if isinstance(dataset, DatasetDict | IterableDatasetDict):
        splits = {name: pack_dataset(split, seq_length, strategy, map_kwargs) for name, split in dataset.items()}
        return type(dataset)(splits)
    options = {"batched": True, "fn_kwargs": {"seq_length": seq_length, "strategy": strategy}, **(map_kwargs or {})}
    if isinstance(dataset, IterableDataset) and dataset.features is not None:
        ends = {} if strategy == "wrapped" else {"seq_lengths": List(Value("int32"))}
        options.setdefault("features", Features(dataset.features | ends))
    return dataset.with_format("arrow").map(pack_table, **options).with_format(None)


def pack_table(table: pa.Table, seq_length: int, strategy: str) -> pa.Table:
    """One map batch of rows, packed."""
    columns, lengths = flat_columns(table)
    starts = np.cumsum(lengths) - lengths
    if strategy == "wrapped":
        total = int(lengths.sum())
        ends = np.append(np.arange(seq_length, total, seq_length), total) if total else np.zeros(0, np.int64)
        return pa.table({name: list_array(values, ends) for name, values in columns.items()})
    if strategy == "bfd_split":
        starts, lengths = split_rows(starts, lengths, seq_length)
    lengths = np.minimum(lengths, seq_length)
    bins = best_fit_decreasing(lengths, seq_length)
    order = np.array([row for members in bins for row in members], dtype=np.int64)
    starts, lengths = starts[order], lengths[order]
    take = ranges(starts, lengths)
    row_ends = np.cumsum([len(members) for members in bins])
    token_ends = np.cumsum(lengths)[row_ends - 1] if bins else row_ends
    packed = {name: list_array(values[take], token_ends) for name, values in columns.items()}
    return pa.table(packed | {"seq_lengths": list_array(lengths.astype(np.int32), row_ends)})


def flat_columns(table: pa.Table) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The values of each column in one array, and the lengths of the rows."""
    columns, lengths = {}, None
    for name in table.column_names:
        column = table[name].combine_chunks()
        if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
            raise TypeError(f"column `{name}` holds {column.type}, no lists of tokens. Remove it before packing.")
        if column.null_count:
            raise TypeError(f"column `{name}` has rows without a list. Fill or drop them before packing.")
        own = np.diff(column.offsets.to_numpy())
        if lengths is not None and not np.array_equal(own, lengths):
            row = int((own != lengths).argmax())
            raise ValueError(
                f"row {row} of a batch has {own[row]} values in column `{name}`, but {lengths[row]} in "
                f"`{table.column_names[0]}`. Packed columns hold one value per token; remove the others."
            )
        lengths = own
        columns[name] = column.flatten().to_numpy(zero_copy_only=False)
    return columns, np.zeros(0, np.int64) if lengths is None else lengths.astype(np.int64)


def split_rows(starts: np.ndarray, lengths: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of pieces of at most `size` tokens, in the order of the rows."""
    pieces = -(-lengths // size)
    nth = ranges(np.zeros_like(pieces), pieces)
    return np.repeat(starts, pieces) + nth * size, np.minimum(np.repeat(lengths, pieces) - nth * size, size)


def best_fit_decreasing(lengths: np.ndarray, size: int) -> list[list[int]]:
    """Numbers of rows per bin: the longest row first, each into the fullest bin that has room for it."""
    bins: list[list[int]] = []
    rooms: list[int] = []  # sizes of room that some bin has left, ascending
    by_room: dict[int, deque[int]] = {}
    for row in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[row])
        if length == 0:
            continue
        at = bisect.bisect_left(rooms, length)
        if at == len(rooms):
            room, chosen = size, len(bins)
            bins.append([])
        else:
            room = rooms[at]
            chosen = by_room[room].popleft()
            if not by_room[room]:
                del by_room[room], rooms[at]
        bins[chosen].append(row)
        room -= length
        if room:
            if room not in by_room:
                bisect.insort(rooms, room)
            by_room.setdefault(room, deque()).append(chosen)
    return bins


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers `start, start + 1, ...` of each range, one range after the other."""
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)


def list_array(values: np.ndarray, ends: np.ndarray) -> pa.ListArray:
    """Lists that follow one another in `values`; each ends before its position in `ends`."""
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
