//! Files of Windows that another program has open: a scanner for viruses or an indexer looks at whatever
//! is new, and as long as it does nobody can put another file in its place.
//!
//! Such a look takes milliseconds, so it is waited for where it is met. A server that keeps its file open
//! for good is told of after about a second.

use std::time::Duration;

/// The pauses between the tries to put a file in the place of another one.
pub const PAUSES: [Duration; 6] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(120),
    Duration::from_millis(300),
    Duration::from_millis(500),
];

/// True for the errors that Windows gives then, by their numbers ([MS-ERREF] section 2.2): access denied,
/// which it is for a file that is being deleted, and the two of a file that is shared with nobody.
pub const fn is_held(os_error: i32) -> bool {
    matches!(os_error, 5 | 32 | 33)
}

/// What is to be told when it has not become free: what the system says, and what it means.
pub fn told(os_error: i32, cause: &str) -> String {
    match os_error {
        5 => format!("another program has it open, or this user may not change it: {cause}"),
        _ => format!("another program has it open: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_waited_for_and_a_server_that_keeps_its_file_is_not() {
        let all: Duration = PAUSES.iter().sum();
        assert_eq!(all, Duration::from_secs(1));
        assert!(is_held(32) && is_held(5));
        assert!(told(5, "denied").ends_with("this user may not change it: denied"));
        assert_eq!(told(32, "shared"), "another program has it open: shared");
        assert!(
            !is_held(2),
            "a file that is not there does not come by waiting"
        );
    }
}
