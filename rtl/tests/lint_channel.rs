//! Whole channels under the lint tools: every block, and shapes that leave most of them out.

#[path = "channel/shapes.rs"]
#[allow(dead_code)]
mod shapes;
mod tools;

use pimc_rtl::channel::emit_channel;
use pimc_rtl::hdl::Inst;
use pimc_rtl::sequencer::Sequencer;
use pimc_rtl::shape::ChannelShape;
use pimc_rtl::sv::{emit, Provenance};

fn provenance() -> Provenance {
    Provenance { version: "0.1.0".into(), source: vec!["lint.ir".into()], ..Provenance::default() }
}

fn lint(name: &str, shape: &ChannelShape) {
    assert_eq!(shape.check(), Ok(()), "{name}");
    tools::lint(name, "pimc_channel", &emit_channel(shape, &provenance()));
}

/// Fields of one bit and fields as wide as an argument, a depth that is no power of two.
#[test]
fn a_sequencer_with_arguments() {
    let narrow = shapes::cached();
    let mut wide = shapes::cached();
    (wide.arg_words, wide.program_depth) = (37, 300);
    let d = &mut wide.isa.dynamic;
    (d.arg_bits, d.add_bits, d.end_bits, d.within_bits) = (6, 32, 9, 20);
    for (name, shape) in [("narrow", narrow), ("wide", wide)] {
        assert_eq!(shape.check(), Ok(()), "{name}");
        let files = emit(&Inst::new(Sequencer::new(&shape)), &provenance());
        tools::lint(&format!("arguments/{name}"), "pimc_sequencer", &files);
    }
}

#[test]
fn every_block() {
    lint("every_block", &shapes::everything());
}

#[test]
fn every_block_and_attention() {
    lint("every_block_and_attention", &shapes::cached());
}

#[test]
fn attention_alone() {
    lint("attention_alone", &shapes::attention_alone());
}

/// Tokens are clustered, more of them at once than a beat has, in two token groups.
#[test]
fn attention_that_clusters() {
    let mut shape = shapes::attention_alone();
    shape.bank.attention = shape.bank.attention.map(|a| pimc_rtl::testing::clustering(a, 4, 18));
    lint("attention_that_clusters", &shape);
}

#[test]
fn product_quantization_alone() {
    lint("product_quantization_alone", &shapes::product_quantized());
}

#[test]
fn a_supermask_alone_of_one_coat() {
    lint("a_supermask_alone_of_one_coat", &shapes::masked());
}

#[test]
fn binary_quadratic_alone() {
    lint("binary_quadratic_alone", &shapes::quadratic());
}

#[test]
fn plain_weights_alone_in_two_banks() {
    lint("plain_weights_alone_in_two_banks", &shapes::plain());
}

#[test]
fn every_block_on_beats_of_128_bits() {
    lint("every_block_on_beats_of_128_bits", &shapes::wide_beats(shapes::everything()));
}

/// A word of bytes takes two steps, a group of planes sixteen.
#[test]
fn beats_of_128_bits_in_eight_banks() {
    let shape = ChannelShape { banks: 8, ..shapes::wide_beats(shapes::everything()) };
    lint("beats_of_128_bits_in_eight_banks", &shape);
}

/// A word of bytes takes two steps, a group of planes sixteen.
#[test]
fn every_block_in_four_banks() {
    let shape = ChannelShape { banks: 4, ..shapes::everything() };
    lint("every_block_in_four_banks", &shape);
}

/// A group of planes is one step, and a single plane leaves as fast as it comes.
#[test]
fn a_supermask_in_as_many_banks_as_a_beat_has_inputs() {
    let mut shape = shapes::masked();
    shape.banks = 64;
    shape.bank.gated.as_mut().unwrap().planes = 1;
    lint("a_supermask_in_as_many_banks_as_a_beat_has_inputs", &shape);
}

/// Field widths and depths that are no power of two, and vector memory that follows the addresses.
#[test]
fn awkward_numbers() {
    let mut shape = shapes::everything();
    shape.banks = 8;
    shape.beats = 3;
    shape.dram_rows = 37;
    shape.dram_cols = 5;
    shape.read_latency = 6;
    shape.refi = 123;
    shape.rfc = 2;
    shape.program_depth = 1;
    shape.buffer.depth = 200;
    shape.isa.delay_bits = 2;
    shape.isa.row_bits = 1;
    shape.isa.col_bits = 1;
    shape.isa.columns_bits = 1;
    shape.isa.count_bits = 1;
    lint("awkward_numbers", &shape);
}
