"""What a person decided on the review page, kept as text, and what it comes to for the images."""
