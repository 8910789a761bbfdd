"""Training ladder: every rung from photographs to shipped weights. See training/README.md."""
