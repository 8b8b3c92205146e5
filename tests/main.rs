//! The one integration binary: claims about the program as a whole.

#![expect(
    clippy::disallowed_methods,
    reason = "it watches real processes, so it has real time and looks again after a moment"
)]

mod cases {
    mod account;
    mod alerts;
    #[cfg(unix)]
    mod audit;
    mod bridge;
    #[cfg(unix)]
    mod browser;
    mod cli;
    mod counts;
    mod crash;
    #[cfg(target_os = "linux")]
    mod cut_off;
    #[cfg(unix)]
    mod daemon;
    mod damage;
    mod debts;
    #[cfg(unix)]
    mod doctor;
    mod faults;
    mod figures;
    mod foreign;
    mod generated;
    #[cfg(unix)]
    mod imports;
    mod includes;
    mod init;
    #[cfg(unix)]
    mod install;
    mod kill;
    mod look;
    mod matrix;
    mod notify;
    mod preflight;
    mod propagation;
    mod providers;
    mod refusals;
    mod renew;
    mod replace;
    pub(crate) mod rig;
    mod schedule;
    mod secrets;
    mod served;
    #[cfg(unix)]
    mod signals;
    mod simulate;
    #[cfg(unix)]
    mod story;
    mod tidy;
}
