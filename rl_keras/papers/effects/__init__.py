"""The measurements that decide the claims, by subject: from the variants of a run to effects."""
