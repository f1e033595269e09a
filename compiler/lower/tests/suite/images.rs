//! Bank images packed whole matrix rows at a time against the words that the table of the images says.

use crate::common::*;
use pimc_lower::images::{Banks, Images};
use pimc_lower::{lower, Content, Split, Target};
use std::collections::BTreeSet;

#[test]
fn banks_packed_at_once_hold_the_columns_of_the_table() {
    let target = Target::named("hbm3-pim").expect("built in");
    // No room for all tables of some codebooks.
    let target = target.with(&[("unit", "table_bytes", "65536")]).expect("a target");
    let changes = [
        ("stack", "channels", "1"),
        ("stack", "channels", "4"),
        ("mapping", "split", "\"rows\""),
        ("mapping", "split", "\"inputs\""),
        // Beats of two words, and tables for few sub-vectors at a time.
        ("unit", "beat_bits", "128"),
        ("unit", "table_bytes", "600"),
    ];
    let targets = changes.map(|change| target.with(&[change]).unwrap_or_else(|d| panic!("{d}")));
    let (mut pieces, mut slices) = (0, 0);
    let mut seen = BTreeSet::new();
    // Codes of a whole byte, of two bytes, and books that no share divides evenly.
    let mut rng = Rng::new(7);
    let codebooks = [(256, 4), (200, 1), (300, 2), (1000, 4), (16, 2), (16, 8)];
    let wide = codebooks.map(|(k, sub)| pq(&mut rng, 21, 75, sub, k, false));
    // Blocks that are worth slicing.
    let blocks = [((1, 1), (64, 64), 2), ((2, 3), (128, 192), 1)];
    let blocks = blocks.map(|(count, sides, bases)| bqq(&mut rng, count, sides, bases, 8));
    for (seed, builder) in (0..60).map(random).chain(wide).chain(blocks).enumerate() {
        let model = builder.build().unwrap_or_else(|d| panic!("{d}"));
        for target in &targets {
            // Some random models have no room on some of the targets.
            let Ok(plan) = lower(&model, target) else { continue };
            for place in &plan.streams {
                pieces += usize::from(place.first > 0);
                slices += usize::from(place.slices > 1);
                let content = match place.content {
                    Content::Codebook => 0,
                    Content::Codes => 1,
                    Content::Blocks => 2,
                    Content::Mask => 3,
                    Content::Int { .. } => 4,
                };
                seen.insert((content, place.split == Split::Rows));
            }
            let images = Images::new(&model, &plan);
            for bank in 0..target.units() {
                let columns = images.bank(bank);
                assert_eq!(columns.len() as u32, plan.dram_rows * target.columns);
                for (at, column) in (0..).zip(columns) {
                    let (row, col) = (at / target.columns, at % target.columns);
                    let one = images.column(bank, row, col);
                    assert_eq!(one, Some(column), "model {seed}, bank {bank}, column {at}");
                }
            }
        }
    }
    // Every content, and every split that there is of it.
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(pieces > 3 && slices > 3, "{pieces} pieces, {slices} slices");
}
