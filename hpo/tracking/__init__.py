"""Records on their way to MLflow."""
