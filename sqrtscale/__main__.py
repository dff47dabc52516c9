"""``python -m sqrtscale`` is the command ``sqrtscale``."""

import sys

from .cli import main

sys.exit(main())
