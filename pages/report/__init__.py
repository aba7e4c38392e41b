"""What the stage `report` draws: tables, curves, sheets of images, and the page around them."""
