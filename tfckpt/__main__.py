"""The door of the command ``tfckpt``, and of ``python -m tfckpt``."""

import sys

INTERRUPTED = 130  # as `tfckpt.cli.main` has it, which may not be imported yet


def main() -> int:
    """Run one command; return its exit code. An interrupt may come while what it needs is imported."""
    try:
        from tfckpt.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
