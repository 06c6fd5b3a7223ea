"""Metrics, one module per kind: a module's ``METRICS`` and ``FEATURES`` are found by being there.

A new metric is a new module, or an entry in one. The modules import numerics when they are used.
"""
