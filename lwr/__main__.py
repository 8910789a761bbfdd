"""`python -m lwr`: see `lwr.cli`."""

if __name__ == "__main__":
    try:
        from lwr.cli import app

        app(prog_name="python -m lwr")
    except KeyboardInterrupt:  # while modules are read; commands have sentences of their own
        raise SystemExit(130) from None
