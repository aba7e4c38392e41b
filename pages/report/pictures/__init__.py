"""The pictures of the report: sheets of clusters, pairs of similar images."""
