//! The command line from outside: arguments in, exit status, text, JSON and files out.

mod common;
mod quantize;
mod surface;
mod text;
