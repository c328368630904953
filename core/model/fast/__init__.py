"""`WaveNet` for speed: the same function and its gradient, as explicit matrix products in memory that is used again."""
