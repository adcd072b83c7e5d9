"""Batches with a weight for each row."""

from dataclasses import dataclass

import torch

from sternpost.sft import DataCollatorForLanguageModeling


@dataclass
class WeighingCollator(DataCollatorForLanguageModeling):
    """Adds `row_weight`, which grows with the learned tokens of a row."""

    strength: float = 0.0

    def torch_call(self, examples):
        batch = super().torch_call(examples)
        share = (batch["labels"] != -100).sum(-1) / batch["attention_mask"].sum(-1)
        batch["row_weight"] = 1 + self.strength * share.to(torch.float32)
        return batch
