"""Finished runs as arrays over seeds. No TensorFlow, no matplotlib."""
