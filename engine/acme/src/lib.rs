//! waxwing-acme
