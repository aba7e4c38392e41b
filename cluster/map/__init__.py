"""Low-dimensional maps of images, laid out from their graph of nearest neighbours."""
