"""Between the stages and the packages below: settings, files, training and embedding of a cell."""
