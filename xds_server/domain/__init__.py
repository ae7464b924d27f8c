"""What is true: frozen, comparable nouns with units in their names. Arithmetic on themselves only."""
