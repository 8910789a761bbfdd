"""What `training.evaluate` and `training.study` measure, and their reports."""
