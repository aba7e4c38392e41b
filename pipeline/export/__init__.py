"""Tables of images for other programs, a format a module: whoever has a table has all of them."""
