"""Our trainer: theirs, with hooks of ours."""

from sternpost import SFTTrainer

from .mixins import CheckpointMixin, LogMixin, OptimizerMixin, TagMixin


class LongshoreTrainer(TagMixin, CheckpointMixin, LogMixin, OptimizerMixin, SFTTrainer):
    """Counts what is learned, weighs rows, leaves out rows that teach too little."""

    _tag_names = ["longshore", "sft"]

    def prepare_dataset(self, dataset, processing_class, args, packing, formatting_func, dataset_name):
        prepared = super().prepare_dataset(dataset, processing_class, args, packing, formatting_func, dataset_name)
        if floor := getattr(args, "label_floor", 0):
            prepared = prepared.filter(
                lambda row: sum(label != -100 for label in row.get("labels") or row["input_ids"]) >= floor
            )
        self.row_counts[dataset_name] = len(prepared)
        return prepared

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        mode = "train" if model.training else "eval"
        self.learned_tokens[mode] += int((inputs["labels"][..., 1:] != -100).sum())
        weight = inputs.pop("row_weight", None)
        computed = super().compute_loss(
            model, inputs, return_outputs=return_outputs, num_items_in_batch=num_items_in_batch
        )
        if weight is None or not model.training:
            return computed
        if return_outputs:
            loss, outputs = computed
            return loss * weight.mean(), outputs
        return computed * weight.mean()

    def evaluate(self, *args, **kwargs):
        metrics = super().evaluate(*args, **kwargs)
        self.last_accuracy = metrics["eval_mean_token_accuracy"]
        return metrics


class QuietLongshoreTrainer(LongshoreTrainer):
    """For sweeps, which read the history and print nothing."""

    def training_step(self, model, inputs, num_items_in_batch=None):
        self.last_shape = tuple(inputs["input_ids"].shape)
        return super().training_step(model, inputs, num_items_in_batch)

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        self.last_eval_keys = sorted(inputs)
        return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys=ignore_keys)
