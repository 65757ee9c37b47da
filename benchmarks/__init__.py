"""Benchmarks: side by side in one run, alternating, medians; each target printed with whether it was reached.

``python -m benchmarks`` runs every subject, ``python -m benchmarks runtime`` one. Absolute times mean little on shared
cores: read the ratios, and the load beside them.
"""
