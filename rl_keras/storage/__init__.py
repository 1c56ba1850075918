"""Files of a run, on a disk or under gs://: their names, and how they are written and locked."""
