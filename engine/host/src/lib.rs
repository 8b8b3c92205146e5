//! waxwing-host
