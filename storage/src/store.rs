//! (being written)
pub struct Store;
