"""What a source holds, before any training."""
