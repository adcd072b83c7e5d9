class Trainer:
    def prepare(self, dataset, limit):
        return dataset.map(len)


def pack(dataset):
    return dataset
