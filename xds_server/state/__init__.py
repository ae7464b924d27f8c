"""What is remembered for others: watchables, the cache of encoded resources, the history of samples."""
