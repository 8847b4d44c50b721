"""``python -m vebi`` is the command ``vebi``."""

from vebi.cli.main import main

if __name__ == "__main__":
    main()
