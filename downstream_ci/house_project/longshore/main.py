"""`python -m longshore.main RUN.yaml [key=value ...]`"""

import sys

import yaml

from . import settings
from .builder import SFTBuilder


def main(argv):
    path, *pairs = argv
    overrides = {key: yaml.safe_load(value) for key, value in (pair.split("=", 1) for pair in pairs)}
    trainer = SFTBuilder(settings.read(path, **overrides)).build()
    trainer.train(resume_from_checkpoint=trainer.args.resume_from_checkpoint)
    trainer.save_model()
    return trainer


if __name__ == "__main__":
    main(sys.argv[1:])
