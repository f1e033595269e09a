//! What is published, or was measured of published simulators.

use super::CompareError;

/// Clocks of .769 ns of a layer's attention on one stack: AttAcc's bank placement, 32 heads of 128, batch 1,
/// refresh on. Measured by running the AttAcc simulator (c600051).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttAcc {
    /// Tokens.
    pub context: u32,
    /// Keys and values of 16 bits, under the power cap.
    pub fp16: u64,
    /// Of 8 bits.
    pub int8: u64,
    /// Of 16 bits, without the power cap.
    pub uncapped: u64,
}

/// By context.
pub const ATTACC: [AttAcc; 4] = [
    AttAcc { context: 4096, fp16: 16_297, int8: 7_873, uncapped: 11_913 },
    AttAcc { context: 8192, fp16: 32_799, int8: 16_283, uncapped: 23_989 },
    AttAcc { context: 16384, fp16: 65_801, int8: 32_803, uncapped: 48_177 },
    AttAcc { context: 32768, fp16: 133_456, int8: 65_821, uncapped: 98_154 },
];

/// How much faster than an AttAcc of unlimited capacity AQPIM says it is, times ten (printed in the paper).
pub const PAPER_SPEEDUP: u64 = 34;

/// AttAcc at a context.
///
/// # Errors
/// Where there are no figures.
pub fn attacc(context: u32) -> Result<AttAcc, CompareError> {
    let found = ATTACC.into_iter().find(|a| a.context == context);
    found.ok_or(CompareError::Unpublished(context))
}
