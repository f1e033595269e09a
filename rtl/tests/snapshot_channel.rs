//! The text of the channel's units at one small shape.

#[path = "channel/shapes.rs"]
#[allow(dead_code)]
mod shapes;

use pimc_rtl::channel::emit_channel;
use pimc_rtl::sv::Provenance;

#[test]
fn the_text_of_the_channels_units() {
    let provenance = Provenance {
        version: "0.1.0".into(),
        source: vec!["small.ir 1a2b3c4d, channel".into()],
        ..Provenance::default()
    };
    let files = emit_channel(&shapes::product_quantized(), &provenance);
    assert_eq!(files.last().map(|f| f.name.as_str()), Some("pimc_channel.sv"));
    let modules = [
        "pimc_requantiser",
        "pimc_vector_steps",
        "pimc_vector_memory",
        "pimc_run_address",
        "pimc_byte_packer",
        "pimc_vector_alu",
        "pimc_result_collect",
        "pimc_buffer_unit",
        "pimc_sequencer",
        "pimc_channel",
    ];
    for module in modules {
        let file = files.iter().find(|f| f.name.starts_with(module)).unwrap();
        insta::assert_snapshot!(module, file.text);
    }
    // What the small one has not, or has too small to show.
    let files = emit_channel(&shapes::quadratic(), &provenance);
    for module in ["pimc_rotator", "pimc_vector_reduce", "pimc_plane_packer"] {
        let file = files.iter().find(|f| f.name.starts_with(module)).unwrap();
        insta::assert_snapshot!(module, file.text);
    }
}
