"""Photos as files and tensors, colour, image metrics."""
