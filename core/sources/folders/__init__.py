"""Any folder of audio: by manifest or by name."""
