"""The settings of an experiment: declared once, with default, help text and range."""
