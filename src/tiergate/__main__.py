"""`python -m tiergate` is `tiergate`."""

from tiergate.cli import main

if __name__ == "__main__":
    main()
