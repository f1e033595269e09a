//! The command line from outside: arguments in, exit status, text, JSON and files out.

mod broken;
mod common;
mod compile;
mod cosim;
mod explore;
mod form;
mod outputs;
mod quantize;
mod readme;
mod surface;
mod text;
