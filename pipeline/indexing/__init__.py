"""How the stage `index` lists images: their names, the digests of their bytes, their splits."""
