//! The `waxwing` program. Everything is in the library, so that examples and tests run it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    waxwing_cli::run(std::env::args_os())
}
