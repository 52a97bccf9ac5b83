"""What developing costs, beside other ways to make the same variants."""
