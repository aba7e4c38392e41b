"""What stage curate has to fit, to tell and to write."""
