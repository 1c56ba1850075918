"""Finished runs as arrays over seeds. No TensorFlow, no matplotlib.

`runs` reads the stages of a run, `curves` holds a quantity with its interval over seeds, and
`quantities` are the curves that several figures and claims need. `variants` says which parts of
a run may be compared. `pooled_filters`, `profiles` and `similarity` measure the filters and
layers that runs have left, and `tables` lays out what is printed after a run.
"""
