"""What is wrong with a photo, and how much: examples with labels, and the small network that learns them."""
