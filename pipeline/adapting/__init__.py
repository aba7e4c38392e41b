"""Training of a backbone (stage `adapt`): settings, inputs, batches and the training loop."""
