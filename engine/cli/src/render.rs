//! How things look: for people on a terminal, for machines as JSON.

pub(crate) mod terminal;
