"""What is published on the Hub: the content of each repository, its card, and the way there."""
