"""What `python -m models.evaluate` is made of: test objects, methods, measures, reports."""
