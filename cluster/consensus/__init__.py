"""Several clusterings of the same images into one."""
