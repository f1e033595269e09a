"""The meaning of pimc's ops in numpy, written from the language alone.

An oracle that shares no code with the Rust crates: every weight format is expanded to a dense
integer matrix and multiplied, where `pimc-golden` streams codes, bits and generated signs.
"""
