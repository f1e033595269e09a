//! Code for the vectors that this machine has.

/// Something to compute, whose loops are worth wide vectors.
pub trait Work {
    /// What comes out.
    type Out;
    /// Computes it. To be marked `inline(always)`, as are the functions with the loops that it calls:
    /// what is not inlined is compiled for any machine.
    fn run(self) -> Self::Out;
}

/// Runs `work`, compiled for AVX2 where the machine has it. Integers come out the same either way.
pub fn vectors<W: Work>(work: W) -> W::Out {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("popcnt")
        {
            // SAFETY: the machine has what the function is compiled for.
            return unsafe { with_avx2(work) };
        }
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn with_avx2<W: Work>(work: W) -> W::Out {
    work.run()
}
