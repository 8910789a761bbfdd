"""What happened to a photo on paper, undone without a network: holes, scratches, faded colours."""
