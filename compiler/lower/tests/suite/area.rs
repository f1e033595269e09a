//! The area proxy against what synthesis makes of the generated units of the example.

use pimc_lower::area::{bank_parts, buffer_parts, Area};
use pimc_lower::{lower, Target};
use pimc_rtl::testing;
use std::path::Path;

/// Gate equivalents of the units of `digits.ir` on `hbm3-pim` after synthesis, memories left out:
/// the table of `docs/area.md`.
const SYNTHESISED: [(&str, f64); 12] = [
    ("column and results", 2850.0),
    ("lookup unit", 8484.0),
    ("gated adder tree", 15145.0),
    ("sign generator", 5141.0),
    ("blocks", 21036.0),
    ("rotators", 14495.0),
    ("lanes", 15008.0),
    ("requantisers", 98096.0),
    ("collection of results", 7428.0),
    ("byte packer", 593.0),
    ("plane packer", 8175.0),
    ("control", 1418.0),
];
const BANK: f64 = 52656.0;
const BUFFER: f64 = 150_800.0;

#[test]
fn parts_are_near_what_synthesis_makes_of_them() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.ir");
    let model = pimc_ir::load(&model).unwrap();
    let plan = lower(&model, &Target::named("hbm3-pim").unwrap()).unwrap();
    let parts = [bank_parts(&plan.shape), buffer_parts(&plan.shape)].concat();
    assert_eq!(parts.len(), SYNTHESISED.len());
    for (part, (name, gates)) in parts.iter().zip(SYNTHESISED) {
        let ratio = part.1 / gates;
        assert_eq!(part.0, name);
        assert!((0.75..1.25).contains(&ratio), "{name}: {:.0}, {ratio:.2} of {gates}", part.1);
    }
    let area = Area::of(&plan.shape);
    for (ours, gates) in
        [(area.bank - area.bank_memory, BANK), (area.buffer - area.buffer_memory, BUFFER)]
    {
        let ratio = ours as f64 / gates;
        assert!((0.85..1.15).contains(&ratio), "{ours}: {ratio:.2} of {gates}");
    }
}

/// What clusters tokens, as `docs/area.md` has it.
#[test]
fn clustering_is_near_what_synthesis_makes_of_it() {
    let parts = |encoders| {
        let cache = testing::attention(16, (16, 4, 512), (1, 4), (8, 32, 4096));
        let cache = testing::clustering(cache, encoders, 18);
        let parts = bank_parts(&testing::attention_channel(16, cache, 64));
        let of = |name| parts.iter().find(|part| part.0 == name).unwrap().1;
        (of("means"), of("encoders"))
    };
    let ((means, one), (same, more)) = (parts(1), parts(8));
    assert_eq!((same, one), (means, 0.0));
    for (ours, gates) in [(means, 12_245.0), (more, 47_024.0)] {
        assert!((0.9..1.1).contains(&(ours / gates)), "{ours:.0} of {gates}");
    }
}

#[test]
fn more_of_everything_is_more_area() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.ir");
    let model = pimc_ir::load(&model).unwrap();
    let target = Target::named("hbm3-pim").unwrap();
    let of = |target: &Target| Area::of(&lower(&model, target).unwrap().shape);
    let one = of(&target);
    let two = of(&target.with(&[("stack", "channels", "2")]).unwrap());
    // Twice the bank units, and a buffer unit of twice the lanes.
    assert!(two.total > one.total * 18 / 10, "{one:?} {two:?}");
    assert_eq!(one.total, 16 * one.bank + one.buffer + one.sequencer);
    let inputs = of(&target.with(&[("mapping", "split", "\"inputs\"")]).unwrap());
    assert!(inputs.bank_memory < one.bank_memory, "tables are dealt out: {inputs:?}");
}
