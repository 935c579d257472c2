"""`python -m sqlml` is the command `sqlml`."""

from sqlml.cli import main

if __name__ == "__main__":
    main()
