"""`python -m lwr`: see `lwr.cli`."""

from lwr.cli import app

if __name__ == "__main__":
    app(prog_name="python -m lwr")
