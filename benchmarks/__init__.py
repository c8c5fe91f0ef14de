"""Measurements behind the figures that the project claims. `python -m benchmarks` makes all of them."""
