"""What is like a picture, a file or words: cosines, and the towers of the backbone."""
