"""The multi-task dataset: many degradations of the same photo, as Parquet that `datasets` reads."""
