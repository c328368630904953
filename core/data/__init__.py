"""What a recording is, up to the clips that are trained on and judged."""
