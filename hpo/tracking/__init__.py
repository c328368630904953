"""Records of runs: written to local files first, then sent to MLflow."""
