"""`python -m sternpost.guard`."""

import sys

from .cli import main

sys.exit(main(sys.argv[1:]))
