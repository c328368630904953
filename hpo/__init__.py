"""The search: Optuna proposes configurations, `core` trains and judges them, MLflow keeps the records."""
