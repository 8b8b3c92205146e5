//! waxwing-flow
