//! Hardware units of pimc.

pub mod bank_unit;
pub mod buffer_unit;
pub mod buffer_unit_alu;
pub mod buffer_unit_bytes;
pub mod buffer_unit_memory;
pub mod buffer_unit_planes;
pub mod buffer_unit_reduce;
pub mod buffer_unit_run;
pub mod buffer_unit_steps;
pub mod channel;
pub mod gated_sum;
pub mod hdl;
pub mod isa;
pub mod lookup_unit;
pub mod mac_row;
pub mod native;
pub mod program;
pub mod requantiser;
pub mod rotator;
pub mod sequencer;
pub mod sequencer_columns;
pub mod sequencer_commands;
pub mod sequencer_vectors;
pub mod shape;
pub mod sign_gen;
pub mod sv;
pub mod table_build;
pub mod table_lookup;
#[cfg(test)]
mod test_rng;
pub mod timing;
