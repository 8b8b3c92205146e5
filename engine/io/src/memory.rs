//! Memory that a long-lived process does not need any more.

#[cfg(unix)]
#[path = "memory/unix.rs"]
mod os;
#[cfg(windows)]
#[path = "memory/windows.rs"]
mod os;

/// Gives what is free to the system. An allocator keeps it for the next time, which for a process that
/// works once a day and sleeps in between is most of its memory.
///
/// Worth a call before a long sleep only: what is given away has to be fetched again.
pub fn give_back() {
    os::give_back();
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    const BLOCK: usize = 1024;
    const BLOCKS: usize = 64 * 1024;

    /// Bytes of this process that are in memory.
    #[expect(
        clippy::disallowed_methods,
        reason = "the kernel is asked through a file"
    )]
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("the kernel shows it");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| {
            line.trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<usize>()
                .ok()
        });
        kib.expect("a size") * 1024
    }

    #[test]
    fn what_is_free_goes_back_although_something_behind_it_is_in_use() {
        let blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|_| vec![1; BLOCK]).collect();
        let blocks = blocks.into_iter().enumerate();
        let in_use = blocks.filter(|(nth, _)| nth % 1024 == 1023);
        let in_use: Vec<(usize, Vec<u8>)> = in_use.collect();
        let before = resident();
        give_back();
        let after = resident();
        assert!(after + BLOCKS * BLOCK / 2 < before, "{before} {after}");
        assert_eq!(in_use.len(), BLOCKS / 1024);
    }
}
