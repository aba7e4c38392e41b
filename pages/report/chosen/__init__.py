"""What the page shows of clusters and of similar images: chosen and written by the stages that have
them at hand, so that the report reads small files only."""
