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
//! - [`sequencer_args`]: argument memory, the sum of a `Set`
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
//! **Attention**
//! - [`attention`]: shape, modes, parameters and latencies
//! - [`attention_unit`]: column register, beats, modes, made of the next ones
//! - [`attention_queries`]: the queries' sub-vectors
//! - [`attention_dots`]: their products with centroids and exact keys
//! - [`attention_lane`]: a code's table and buckets
//! - [`attention_scores`]: the parts of scores, summed over slices
//! - [`attention_outputs`]: values and centroids, weighted and summed
//! - [`attention_encode`]: the nearest centroid
//! - [`attention_place`]: what is taken out of a column and put into it
//! - [`softmax_unit`]: scores of all banks to probabilities, outputs to results; made of the next ones
//! - [`softmax_control`]: what the streams ask for, and where scores lie
//! - [`softmax_ends`], [`softmax_visible`]: which tokens the queries see
//! - [`softmax_scores`]: the banks' parts, summed
//! - [`softmax_memory`]: scores between the passes
//! - [`softmax_max`], [`softmax_sum`]: largest scores, sums of probabilities
//! - [`softmax_exp`], [`softmax_reciprocal`]: the arithmetic, on a [`softmax_curve`]
//! - [`softmax_normalise`]: outputs divided by the sums
//! - [`softmax_tree`]: adders in stages
//!
//! **Buffer unit**
//! - [`buffer_unit`]: vector memory and the pipeline of vector operations
//! - [`buffer_unit_alu`]: their arithmetic
//! - [`requantiser`]: multiply, round, shift, clamp
//! - [`buffer_unit_collect`]: results of the banks into vector memory
//! - [`buffer_unit_bytes`], [`buffer_unit_planes`]: vectors into the banks' input memories
//!
//! **Below the units**
//! - [`wide_ram`]: memories of words of several fields
//! - [`hdl`]: rust-hdl with widths of run time; UNITS.md tells how to write a unit
//! - [`sv`]: SystemVerilog out of elaborated units
//! - [`testing`]: what the tests of the units share

pub mod attention;
pub mod attention_banks;
pub mod attention_cluster;
pub mod attention_divide;
pub mod attention_dots;
pub mod attention_encode;
pub mod attention_lane;
pub mod attention_means;
pub mod attention_outputs;
pub mod attention_place;
pub mod attention_queries;
pub mod attention_scores;
pub mod attention_unit;
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
pub mod sequencer_args;
pub mod sequencer_columns;
pub mod sequencer_commands;
pub mod sequencer_vectors;
pub mod shape;
pub mod sign_gen;
pub mod softmax_control;
pub mod softmax_curve;
pub mod softmax_ends;
pub mod softmax_exp;
pub mod softmax_max;
pub mod softmax_memory;
pub mod softmax_normalise;
pub mod softmax_reciprocal;
pub mod softmax_scores;
pub mod softmax_sum;
pub mod softmax_tree;
pub mod softmax_unit;
pub mod softmax_visible;
pub mod sv;
pub mod table_build;
pub mod table_lookup;
pub mod testing;
pub mod timing;
pub mod wide_ram;
