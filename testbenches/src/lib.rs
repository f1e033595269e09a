//! Co-simulation of pimc: the same vectors through the meaning of the model, the schedule, the
//! hardware units and the generated Verilog, compared word for word and signal for signal.
//!
//! [`cosim()`] runs the levels on an output tree; [`check_wave`] checks a waveform of any simulator.

pub mod bench;
pub mod cosim;
pub mod dram;
pub mod error;
mod events;
mod form;
pub mod inputs;
mod levels;
mod native_level;
pub mod progress;
pub mod reference;
pub mod replay;
pub mod report;
pub mod rtl_level;
pub mod steps;
pub mod testbench;
pub mod verilator;
pub mod wave;

pub use bench::export_testbench;
pub use cosim::{check_wave, cosim, Options, WaveReport};
pub use error::Error;
pub use inputs::Inputs;
pub use progress::{Progress, Quiet};
pub use report::{AbsentLevel, Clocks, Divergence, Level, Replayed, Report};
