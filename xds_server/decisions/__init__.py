"""Pure logic: facts in, better facts out. No I/O, no clock, no chance, no log."""
