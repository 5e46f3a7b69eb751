"""Measurements that the course quotes: speed, memory, accuracy. `python -m benchmarks` runs them all."""
