"""``python -m lipwright`` is the command ``lipwright``."""

from lipwright.cli import main

if __name__ == "__main__":
    main()
