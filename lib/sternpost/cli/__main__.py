"""`python -m sternpost.cli`, for launchers and where the console script is not on the path."""

import sys

from . import main

sys.exit(main())
