"""The pictures of a collection, small and large, as the page shows them."""
