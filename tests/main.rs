//! The one integration binary: claims about the program as a whole.

mod cases {
    mod counts;
    mod crash;
    mod faults;
    mod foreign;
    mod renew;
    pub(crate) mod rig;
    mod secrets;
    #[cfg(unix)]
    mod signals;
    mod tidy;
}
