//! From the command line to settings: which file, what it includes, what its plugins say of
//! themselves.
