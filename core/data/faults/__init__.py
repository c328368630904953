"""Faults that are injected into healthy clips, to judge detectors of a machine whose faults nobody has recorded."""
