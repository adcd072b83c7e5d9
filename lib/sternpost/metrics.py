"""Metrics of a run: sums on the device for every micro-batch, one collective per log line."""

import math
from collections.abc import Iterable, Mapping

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

Share = tuple[Tensor, Tensor]
"""A total and the count that it is to be divided by; a count of zero means that the total itself is the metric."""


class MetricBuffer:
    """Adds up `(total, count)` pairs by name, and keeps smallest and largest values, until they are asked for.

    Nothing is synchronised before `flush`, which needs every rank to have seen the same names.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.smallest: dict[str, Tensor] = {}
        self.largest: dict[str, Tensor] = {}

    def add(
        self,
        shares: Mapping[str, Share],
        smallest: Mapping[str, Tensor] | None = None,
        largest: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Add the totals and counts of one micro-batch, and the values that it holds the `smallest` or `largest` of."""
        for name, (total, count) in shares.items():
            pair = torch.stack([total.detach().double(), count.detach().to(total.device).double()])
            self.sums[name] = self.sums[name] + pair if name in self.sums else pair
        for kept, values, choose in (
            (self.smallest, smallest, torch.minimum),
            (self.largest, largest, torch.maximum),
        ):
            for name, value in (values or {}).items():
                value = value.detach().double()
                kept[name] = choose(kept[name], value) if name in kept else value

    def add_noted(self, values: Mapping[str, float], taken: Iterable[str]) -> None:
        """Add values whose names may differ from rank to rank; every rank must do so.

        Raises:
            ValueError: a name is one of those that are taken.
        """
        names = sorted(set(gather_object(list(values))))
        clash = sorted(set(names) & set(taken))
        if clash:
            raise ValueError(f"a reward logged the metric `{clash[0]}`, which the trainer logs. Give it another name.")
        self.add({name: (torch.tensor(values.get(name, 0.0)), torch.tensor(float(name in values))) for name in names})

    def state(self) -> dict[str, dict[str, Tensor]]:
        """What this rank has added since it was last asked, to go on with by `restore`."""
        return {"sums": dict(self.sums), "smallest": dict(self.smallest), "largest": dict(self.largest)}

    def restore(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        self.sums, self.smallest, self.largest = (dict(state[kind]) for kind in ("sums", "smallest", "largest"))

    def flush(self, accelerator: Accelerator, names: Iterable[str] | None = None) -> dict[str, float]:
        """Return the metrics over all ranks, and forget them. `names` limits both.

        Smallest and largest values of nothing, which are infinite, are left out.
        """
        kinds = (self.sums, self.smallest, self.largest)
        sums, smallest, largest = (sorted(kind if names is None else set(names) & set(kind)) for kind in kinds)
        values = [self.sums.pop(name) for name in sums]
        values += [kind.pop(name)[None] for kind, chosen in zip(kinds[1:], (smallest, largest)) for name in chosen]
        if not values:
            return {}
        table = torch.cat([value.to(accelerator.device) for value in values])[None]
        if accelerator.num_processes > 1:
            table = accelerator.gather(table)
        totals, low, high = table.split([2 * len(sums), len(smallest), len(largest)], dim=1)
        rows = [*totals.sum(0).tolist(), *low.amin(0).tolist(), *high.amax(0).tolist()]
        pairs = zip(rows[0 : 2 * len(sums) : 2], rows[1 : 2 * len(sums) : 2])
        means = [total / count if count else total for total, count in pairs]
        found = zip([*sums, *smallest, *largest], means + rows[2 * len(sums) :], strict=True)
        return {name: value for name, value in found if not math.isinf(value)}
