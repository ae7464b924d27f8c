"""What loops: wait for something newer, decide, act through a port, record what became true."""
