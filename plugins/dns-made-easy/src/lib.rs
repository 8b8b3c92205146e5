//! waxwing-plugin-dns-made-easy
