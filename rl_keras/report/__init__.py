"""One HTML page about all runs of a folder: the verdicts on the claims, then each run.

`page` puts it together from `claims_table` and `run_section`, which uses `settings` for where
each value comes from and `pictures` for the figures. `markup` writes the HTML. No TensorFlow.
"""
