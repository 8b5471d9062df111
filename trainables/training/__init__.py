"""What happens within an epoch: batches, steps, scores. Knows nothing of a trial's life."""
