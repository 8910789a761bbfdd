"""Training: every stage from photographs to shipped weights. See training/README.md."""
