"""Fit heads and k-means for every setting and seed of a stage; a killed fit resumes."""
