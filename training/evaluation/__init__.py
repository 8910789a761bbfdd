"""What `training.evaluate` measures, and its reports."""
