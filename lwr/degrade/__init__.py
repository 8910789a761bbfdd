"""Batched, seeded image degradation operators in plain torch."""
