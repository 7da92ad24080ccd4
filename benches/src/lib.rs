//! What the benchmarks share: the generated data sets.

pub mod hits;
