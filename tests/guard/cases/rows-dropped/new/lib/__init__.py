class Trainer:
    def prepare(self, dataset, limit):
        dataset = dataset.map(len)
        return dataset.filter(any, desc="Dropping rows without an answer")


def pack(dataset):
    return dataset.filter(lambda row: len(row["input_ids"]) < 10)
