"""Datasets from a set that is still arriving from a network."""
