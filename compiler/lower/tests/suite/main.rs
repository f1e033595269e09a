//! All tests of the crate in one program: it is linked once, and they share the processors.

mod area;
mod arguments;
mod attention;
mod attention_page;
mod cluster;
mod cluster_faults;
mod common;
mod form_tree;
mod fuzz;
mod images;
mod legality;
mod literal;
mod merges;
mod models;
mod pieces;
mod report;
mod schedules;
mod targets;
mod trace;
mod traces;
mod tree;
