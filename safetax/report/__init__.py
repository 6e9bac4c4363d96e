"""From results to what a person or a service is given: tables, plots, page, MLflow, hub."""
