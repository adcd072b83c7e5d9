"""What we want of every trainer, put in front of it in the method resolution order."""

import json
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR


class TagMixin:
    """Takes an argument of ours from the constructor and hands on the rest."""

    def __init__(self, *args, run_tags=None, **kwargs):
        self.run_tags = run_tags or []
        self.learned_tokens = {"train": 0, "eval": 0}
        self.row_counts = {}
        super().__init__(*args, **kwargs)


class OptimizerMixin:
    """Embeddings may have a learning rate of their own."""

    def create_optimizer(self, *args, **kwargs):
        optimizer = super().create_optimizer(*args, **kwargs)
        scale = getattr(self.args, "embedding_lr_scale", None)
        if scale is not None:
            embeddings = [weight for name, weight in self.model.named_parameters() if "embed_tokens" in name]
            ids = {id(weight) for weight in embeddings}
            for group in optimizer.param_groups:
                group["params"] = [weight for weight in group["params"] if id(weight) not in ids]
            optimizer.add_param_group({"params": embeddings, "lr": self.args.learning_rate * scale})
        return optimizer


class LogMixin:
    """Adds a perplexity to every line that has a loss, and what has been learned so far."""

    def log(self, logs, start_time=None):
        if "loss" in logs:
            logs["learned_tokens"] = self.learned_tokens["train"]
            logs["tokens_per_row"] = self.args.max_length and self.learned_tokens["train"] / self.args.max_length
        if "eval_loss" in logs:
            logs["eval_perplexity"] = 2.718281828459045 ** logs["eval_loss"]
        return super().log(logs, start_time)


class CheckpointMixin:
    """Puts a file of ours into every checkpoint, which is made first, because not every trainer does."""

    def _save_checkpoint(self, model, trial, **kwargs):
        folder = Path(self._get_output_dir(trial=trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "longshore.json").write_text(
            json.dumps({"learned_tokens": self.learned_tokens, "tags": self.run_tags})
        )
        return super()._save_checkpoint(model, trial, **kwargs)
