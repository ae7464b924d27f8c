"""What listens: the ports of ours that others open."""
