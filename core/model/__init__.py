"""Waveform to what the network says of each sample, and its training."""
