"""``python -m tfckpt``: the same as the command ``tfckpt``."""

import sys

from tfckpt.cli.main import main

sys.exit(main())
