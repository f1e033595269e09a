//! Timing legality, said twice by code that shares nothing: the checker of `pimc-lower` and the
//! DRAM rules in SystemVerilog, on the same commands.

mod planted;
mod random_traces;
mod shapes;
mod twice;
