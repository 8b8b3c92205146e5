//! waxwing-guest-hostile
