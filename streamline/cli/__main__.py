"""Lets C{python -m streamline.cli} be C{streamline}."""

from streamline.cli.main import main

if __name__ == "__main__":
    main()
