//! glibc gives memory back only from the end of its heap, where one small thing that is still in use
//! holds all that is free before it. Asked for it, it gives back every free page. Other C libraries know
//! no such call, and need it less.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn give_back() {
    let _whether_there_was_some = malloc_trim(0);
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) const fn give_back() {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "declares a function of the C library that takes a number, may be called at any time by \
              any thread, and touches free memory only (malloc_trim(3))"
)]
unsafe extern "C" {
    /// `malloc_trim(3)`: leaves so many bytes at the end of the heap.
    safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
}
