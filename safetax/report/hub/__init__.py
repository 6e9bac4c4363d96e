"""What is pushed to the hub: files, card, upload."""
