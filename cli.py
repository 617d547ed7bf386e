"""Launcher for a checkout: ``python cli.py ...`` is the same as the installed ``mer-data ...``."""

from mer_data.commands import main

if __name__ == "__main__":
    main()
