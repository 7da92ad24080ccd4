//! Text to values and back (being written).
