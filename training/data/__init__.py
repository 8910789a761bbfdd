"""Photos, crops, RNG streams and batches."""
