from transformers import Trainer


class SFTTrainer(Trainer):
    def prepare_dataset(self, dataset, packing=False): ...

    def compute_loss(self, model, inputs): ...
