"""What this project uses of plotly, which has no complete types of its own."""
