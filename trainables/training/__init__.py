"""What happens within an epoch: batches, steps, scores. It knows nothing of a trial's life."""
