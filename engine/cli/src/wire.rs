//! The only file that names concrete adapters.
