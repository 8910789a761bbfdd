"""What the networks cost and what they gain, beside what users would pick instead: see __main__.py."""
