"""What a trial does: models, data, training and measuring. It knows nothing of searches."""
