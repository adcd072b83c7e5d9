__all__ = ["Trainer", "split"]


class Trainer:
    def generate(self, prompts):
        def count():
            return 1

        return prompts, count(), {}

    def score(self, rows):
        result = (rows, 1, 2)
        return result


def split(rows):
    first, *rest = rows
    return [first], rest
