"""Options of every `tf.data` pipeline: a fixed order, and no autotuner."""

import tensorflow as tf

# For the functions of a pipeline. AutoGraph would rewrite the source of each, which takes a tenth
# of a short run; none of them branches on a tensor.
as_written = tf.autograph.experimental.do_not_convert


def pipeline_options() -> tf.data.Options:
    """Returns options for a fixed order, and without the autotuner.

    The autotuner's thread sleeps for up to a minute, and the end of an iterator waits
    for it: half a minute for each stage of a run, to tune what takes a hundredth of a
    step. An iterator that an interrupted run has left behind can hold up the next one.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return options
