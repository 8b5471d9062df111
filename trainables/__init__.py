"""What a trial does: models, data, training and measuring. Knows nothing of searches."""
