//! waxwing-io
