"""The measurements, in NumPy and float64 on the host. Import the modules by name.

`filters` owns the flattening order, `patches` the data covariance, `eigenspaces` its
eigenvectors, `alignment` the misalignment and its floor, `transfer` the transfer function,
`gaussian` filters drawn from a learnt covariance. `nulls` says what chance gives, `pooling`
joins runs, `overlap` compares bases, `profiles` fits the curve of a linear network. `activity`
is about units in use, `memorisation` about examples fitted and forgotten, `label_noise` about
noisy labels, `feature_alignment` about gradients, `similarity` compares networks,
`interpolation` and `finite_sample` are of Zhang et al. `summaries` has means over runs with
their intervals, and learning curves.
"""
