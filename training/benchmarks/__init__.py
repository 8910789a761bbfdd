"""Seconds and memory; each file is a command."""
