"""Waveform to scores of each sample: front end, network, training, scoring."""
