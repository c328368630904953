"""The source `hub:OWNER/NAME`: the ToyADMOS set on the Hugging Face Hub, streamed."""
