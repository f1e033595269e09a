//! All tests of the crate in one program: it is linked once, and they share the processors.

mod attention;
mod attention_form;
mod cluster;
mod common;
mod dram_bank;
mod faults;
mod legality;
mod levels;
mod lint;
#[path = "../../../compiler/lower/tests/suite/common/mod.rs"]
mod lowering;
mod wave_check;
mod wave_files;
mod writes;
