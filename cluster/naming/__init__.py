"""Words for clusters: which of a vocabulary fit, and how well."""
