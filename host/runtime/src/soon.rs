//! Memory that is needed soon, asked for before it is.
//!
//! With thousands of calls nothing of a call is in a cache when its turn comes, and its turn is a chain of misses. Who goes through many
//! calls names what the next one needs while it works on this one. A hint: nothing depends on it, and where there is no such instruction
//! nothing happens.

const LINE_BYTES: usize = 64;

/// The memory of `it`, not that behind its pointers.
pub fn touch<T: ?Sized>(it: &T) {
    let (start, bytes) = (std::ptr::from_ref(it).cast::<u8>(), size_of_val(it));
    #[cfg(target_arch = "x86_64")]
    for offset in (0..bytes).step_by(LINE_BYTES) {
        // SAFETY: a hint, of an address within what is borrowed.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(start.add(offset).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, bytes, LINE_BYTES);
}
