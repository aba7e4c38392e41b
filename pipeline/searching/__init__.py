"""Long searches, part by part."""
