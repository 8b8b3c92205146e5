//! waxwing-plugin-cloudflare
