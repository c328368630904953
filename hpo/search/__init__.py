"""The study, its trials, and the processes that run them."""
