//! The hardware of pimc: units written once as rust-hdl kernels, simulated as they are, and printed
//! as SystemVerilog. It knows no model and no file: a [`shape`] says what is built.
//!
//! **Contract with lowering**
//! - [`shape`]: every number that decides what is built; a check that they agree
//! - [`isa`]: the instructions of the schedule program and the fields of its word
//! - [`program`]: programs to words and back, and the smallest word for a program
//! - [`timing`]: latencies that a schedule relies on
//!
//! **Channel**
//! - [`channel`]: sequencer, bank units and buffer unit; its SystemVerilog
//! - [`native`]: the same channel in the rust-hdl simulation, driven pin by pin
//!
//! **Sequencer**
//! - [`sequencer`]: program memory, control flow, refresh when idle
//! - [`sequencer_commands`]: row and column counters, the DRAM command port
//! - [`sequencer_columns`]: what a column means, at the clock of its data
//! - [`sequencer_vectors`]: the operands of a vector operation, held
//!
//! **Bank unit**
//! - [`bank_unit`]: column register, input memories, data paths, results
//! - [`lookup_unit`]: product quantization, made of the next two
//! - [`table_build`]: dot products of centroids with the input, into tables
//! - [`table_lookup`]: codes to table entries, summed
//! - [`gated_sum`]: one-bit weights choose x, -x or 0
//! - [`block_unit`]: binary quadratic blocks on the gated sum, made of the next three
//! - [`block_control`]: where in a block a beat is
//! - [`block_planes`]: the inner products of a block, as bit planes for its second factor
//! - [`block_rows`]: scalars, and the results of a block's rows
//! - [`sign_gen`]: the signs of supermask weights, computed instead of stored
//! - [`mac_row`]: int8 weights times inputs
//!
//! **Buffer unit**
//! - [`buffer_unit`]: vector memory and the pipeline of vector operations
//! - [`buffer_unit_alu`]: their arithmetic
//! - [`requantiser`]: multiply, round, shift, clamp
//! - [`buffer_unit_collect`]: results of the banks into vector memory
//! - [`buffer_unit_bytes`], [`buffer_unit_planes`]: vectors into the banks' input memories
//!
//! **Below the units**
//! - [`hdl`]: rust-hdl with widths of run time; UNITS.md tells how to write a unit
//! - [`sv`]: SystemVerilog out of elaborated units
//! - [`testing`]: what the tests of the units share

pub mod attention;
pub mod bank_unit;
pub mod block_control;
pub mod block_planes;
pub mod block_rows;
pub mod block_unit;
pub mod buffer_unit;
pub mod buffer_unit_alu;
pub mod buffer_unit_bytes;
pub mod buffer_unit_collect;
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
pub mod lookup_word;
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
pub mod testing;
pub mod timing;
