"""The measurements, in NumPy and float64 on the host. Import the modules by name.

What filters and data are:
    `filters` flattens kernels, `patches` has the covariance of the patches a layer sees,
    `eigenspaces` its eigenvectors, `gaussian` draws filters with a learnt covariance.
Filters against data:
    `alignment` has the misalignment and its sampling floor, `nulls` what chance gives for it,
    `pooling` the filters of several runs, `overlap` compares their eigenvectors with those of
    the data. `transfer` has the transfer function, `profiles` fits it with a linear network,
    `feature_alignment` compares the filters with gradients.
Units and networks:
    `activity` counts the units in use, `similarity` compares layers of two networks.
Labels:
    `memorisation` follows which examples are fitted and forgotten, `label_noise` has closed
    forms for noisy labels, `interpolation` and `finite_sample` are the two ways of Zhang et al.
    to fit any labels exactly.
All of them:
    `summaries` has means over runs with their intervals, and learning curves.
"""
