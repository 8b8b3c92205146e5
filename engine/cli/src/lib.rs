//! waxwing-cli
