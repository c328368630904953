"""The ToyADMOS set on the Hugging Face Hub, streamed."""
