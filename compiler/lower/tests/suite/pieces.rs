//! Matrices that are cut: PQ into pieces of columns whose tables fit, binary quadratic bases into slices
//! that give every bank work.

use crate::common::*;
use pimc_ir::testing::ModelBuilder;
use pimc_lower::{Plan, Split, Target};

fn planned(builder: &ModelBuilder, target: &Target) -> Plan {
    let model = builder.build().unwrap_or_else(|d| panic!("{d}"));
    let plan = plan(&model, target);
    assert_legal(&plan);
    assert_agrees(&model, &plan, 9, 4);
    plan
}

fn with(changes: &[(&str, &str, &str)]) -> Target {
    let target = Target::named("hbm3-pim").expect("built in");
    target.with(changes).unwrap_or_else(|d| panic!("{d}"))
}

/// Bytes of the lookup tables of a bank unit.
fn table_bytes(plan: &Plan) -> u64 {
    let lookups = plan.shape.bank.lookups.iter();
    let bits = lookups.map(|l| u64::from(l.lanes * l.blocks * l.k) * u64::from(l.entry_bits));
    bits.sum::<u64>().div_ceil(8)
}

#[test]
fn tables_that_do_not_fit_are_built_piece_by_piece() {
    let mut rng = Rng::new(1);
    // Rows, sub-vectors, sub, k, whether the codebook is shared.
    for (rows, parts, sub, k, shared) in [
        (40, 300, 2, 16, false),
        (33, 97, 4, 64, true),
        (20, 61, 8, 300, false),
        (5, 2, 1, 16, false),
    ] {
        let builder = pq(&mut rng, rows, parts, sub, k, shared);
        let (mut least, mut most) = (u32::MAX, 0);
        for split in ["rows", "inputs"] {
            let split = format!("\"{split}\"");
            let whole = planned(&builder, &with(&[("mapping", "split", &split)]));
            assert_eq!(whole.splits[0].pieces, 1);
            for percent in [90, 50, 23, 1] {
                // Never less than a block of tables.
                let l = &whole.shape.bank.lookups[0];
                let block = u64::from(l.lanes * l.k) * u64::from(l.entry_bits + 2);
                let bytes = (table_bytes(&whole) * percent / 100).max(block.div_ceil(8));
                let budget = bytes.to_string();
                let target =
                    with(&[("mapping", "split", &split), ("unit", "table_bytes", &budget)]);
                let cut = planned(&builder, &target);
                assert!(table_bytes(&cut) <= bytes, "{}: {bytes} bytes", table_bytes(&cut));
                let pieces = cut.splits[0].pieces;
                (least, most) = (least.min(pieces), most.max(pieces));
                let lens: Vec<u32> = cut.streams.iter().map(|s| s.len).collect();
                // A codebook and codes of each piece.
                assert_eq!(lens.iter().sum::<u32>() as usize, 2 * parts * sub, "{lens:?}");
                assert!(lens.len() as u32 <= 2 * pieces);
            }
        }
        assert!(parts < 10 || most > 2, "{least} to {most} pieces");
    }
}

#[test]
fn where_only_one_split_fits_it_is_taken() {
    let mut rng = Rng::new(2);
    // A short matrix of many inputs: by inputs, the tables of a bank are a sixteenth.
    let builder = pq(&mut rng, 16, 512, 2, 16, false);
    let plan = planned(&builder, &with(&[("unit", "table_bytes", "3000")]));
    assert_eq!((plan.splits[0].split, plan.splits[0].pieces), (Split::Inputs, 1));
}

#[test]
fn bases_are_sliced_where_banks_have_no_work() {
    let mut rng = Rng::new(3);
    let hbm = with(&[]);
    // Blocks, sides, bases, and the slices that are expected: none where a beat would be left half
    // empty for nothing, or where the inner dimension has no whole bytes to cut.
    for (blocks, sides, bases, slices) in [
        ((1, 1), (384, 384), 2, 4..=8),
        ((4, 1), (128, 128), 1, 4..=8),
        ((1, 16), (128, 128), 2, 1..=1),
        ((1, 1), (40, 40), 2, 1..=1),
    ] {
        let plan = planned(&bqq(&mut rng, blocks, sides, bases, 8), &hbm);
        assert!(slices.contains(&plan.splits[0].pieces), "{sides:?}: {:?}", plan.splits[0]);
        assert_eq!(plan.streams[0].slices, plan.splits[0].pieces);
        let faster = plan.splits[0].inputs < Some(plan.splits[0].uncut);
        assert_eq!(faster, plan.splits[0].pieces > 1);
    }
}

/// Section, key and value.
type Change = (&'static str, &'static str, &'static str);

/// The help of a refused model names values of the target; with them it fits, with less it does not.
#[test]
fn a_refusal_names_the_smallest_change() {
    let mut rng = Rng::new(4);
    let model = |builder: ModelBuilder| builder.build().unwrap_or_else(|d| panic!("{d}"));
    let pq = model(pq(&mut rng, 40, 64, 2, 16, false));
    let deep = model(int(&mut rng, 600, 600, None));
    let mask = model(supermask(&mut rng, 40, 2000, 2, ", seed=1", 50, 8));
    let cases: [(&pimc_ir::Model, &[Change]); 8] = [
        (&pq, &[("unit", "table_bytes", "20")]),
        (&pq, &[("unit", "input_bytes", "3"), ("unit", "table_bytes", "100")]),
        (&pq, &[("buffer", "vector_bytes", "90")]),
        (&pq, &[("sequencer", "program_words", "16")]),
        (&deep, &[("bank", "rows", "16"), ("mapping", "split", "\"rows\"")]),
        (&deep, &[("buffer", "vector_bytes", "5"), ("sequencer", "program_words", "16")]),
        (&mask, &[("unit", "input_bytes", "100")]),
        (&pq, &[("unit", "gates", "1000")]),
    ];
    for (model, changes) in cases {
        let target = with(changes);
        let found = pimc_lower::lower(model, &target).expect_err("too small");
        let help = &found.list()[0].help;
        let named = help.strip_prefix("the smallest change of the target that makes room: ");
        let named = named.unwrap_or_else(|| panic!("{changes:?}: {help}"));
        let values: Vec<(String, String, u64)> = named
            .split(" and ")
            .map(|part| {
                let (value, section) =
                    part.trim_matches('`').split_once("` in [").expect("a place");
                let (key, value) = value.split_once(" = ").expect("a value");
                let value = value.parse().expect("a number");
                (section.trim_end_matches(']').to_string(), key.to_string(), value)
            })
            .collect();
        let apply = |less: Option<usize>| {
            values.iter().enumerate().fold(target.clone(), |t, (i, (section, key, value))| {
                let smaller = if key == "channels" { value / 2 } else { value - 1 };
                let value = if less == Some(i) { smaller } else { *value };
                t.with(&[(section, key, &value.to_string())]).unwrap_or_else(|d| panic!("{d}"))
            })
        };
        let fits =
            pimc_lower::lower(model, &apply(None)).unwrap_or_else(|d| panic!("{named}: {d}"));
        assert_legal(&fits);
        for i in 0..values.len() {
            assert!(pimc_lower::lower(model, &apply(Some(i))).is_err(), "{named}: less would do");
        }
    }
    // Where no value helps, none is named.
    let wide = model_of("pq<4x18, sub=9, k=4>", 4, 18);
    let found = pimc_lower::lower(&wide, &with(&[])).expect_err("no such unit");
    assert!(!found.list()[0].help.contains("smallest change"));
}

fn model_of(ty: &str, rows: usize, cols: usize) -> pimc_ir::Model {
    one_matvec(ty, rows, cols, 8).build().unwrap_or_else(|d| panic!("{d}"))
}
