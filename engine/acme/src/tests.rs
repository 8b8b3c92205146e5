//! Claims about the whole crate; those about one object are below its code.

pub(crate) mod fixture;

mod arbitrary;
mod pitfalls;
