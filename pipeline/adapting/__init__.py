"""How the stage `adapt` trains a backbone: settings, what it sees, and the loop."""
