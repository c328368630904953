"""The servers beside a study: MLflow, the dashboard, their databases."""
