"""The servers that show studies: MLflow and the Optuna dashboard, with their databases."""
