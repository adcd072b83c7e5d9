"""What watches a run from outside."""

import csv
from pathlib import Path

from transformers import TrainerCallback

COLUMNS = ("step", "loss", "grad_norm", "learning_rate", "entropy", "mean_token_accuracy", "num_tokens")


class WatchdogCallback(TrainerCallback):
    """Stops a run whose loss runs away."""

    def __init__(self, above):
        self.above = above
        self.seen = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.seen.append(logs["loss"])
            if logs["loss"] > self.above:
                control.should_training_stop = True
        return control


class TableCallback(TrainerCallback):
    """Writes the run to a table that the dashboard reads."""

    def on_train_end(self, args, state, control, **kwargs):
        with Path(args.output_dir, "run.csv").open("w") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows([line[column] for column in COLUMNS] for line in state.log_history if "loss" in line)
