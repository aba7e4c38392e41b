"""How the stage `embed` fills feature stores: with the centre view, and with augmented ones."""
