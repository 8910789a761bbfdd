"""Many photos in one command: which they are, where each result goes, and the pipeline that makes them."""
