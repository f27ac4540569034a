"""`scripts/compare`: this program and Spark do the same job on the same topic and tables, measured from outside."""
