//! Code for the vectors that this machine has.

/// Runs `f`, compiled for AVX2 where the machine has it. That reaches what is inlined into `f`, so its
/// loops are to be marked `inline(always)`. Integers come out the same either way.
pub fn vectors<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("popcnt")
        {
            // SAFETY: the machine has what the function is compiled for.
            return unsafe { with_avx2(f) };
        }
    }
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}
