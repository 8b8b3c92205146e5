//! waxwing-world
