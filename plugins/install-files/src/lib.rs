//! waxwing-plugin-install-files
