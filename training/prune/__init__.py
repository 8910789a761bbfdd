"""Structured pruning of a network and its adapters; `python -m training.prune --help`."""
