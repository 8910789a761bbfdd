"""Loss functions and perceptual metrics."""
