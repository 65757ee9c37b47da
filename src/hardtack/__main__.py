"""``python -m hardtack``: the command line."""

from hardtack.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
