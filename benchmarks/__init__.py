"""Benchmarks: quality against ground truth, speed, and what the widgets take."""
