"""The version of the code and of the weights that ship with it."""

__version__ = "0.7.1"
