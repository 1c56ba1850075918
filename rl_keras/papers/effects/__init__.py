"""Effects that decide claims, by subject: functions of the variants of a run."""
