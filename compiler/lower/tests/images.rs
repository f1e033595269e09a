//! Bank images packed whole matrix rows at a time against the words that the table of the images says.

mod common;

use common::*;
use pimc_lower::images::{Banks, Images};
use pimc_lower::{lower, Content, Split, Target};
use std::collections::BTreeSet;

#[test]
fn banks_packed_at_once_hold_the_columns_of_the_table() {
    let target = Target::named("hbm3-pim").expect("built in");
    let changes = [
        ("stack", "channels", "1"),
        ("stack", "channels", "4"),
        ("mapping", "split", "\"rows\""),
        ("mapping", "split", "\"inputs\""),
    ];
    let targets = changes.map(|change| target.with(&[change]).unwrap_or_else(|d| panic!("{d}")));
    let mut seen = BTreeSet::new();
    for seed in 0..60 {
        let model = random(seed).build().unwrap_or_else(|d| panic!("{d}"));
        for target in &targets {
            // Some random models have no room on some of the targets.
            let Ok(plan) = lower(&model, target) else { continue };
            for place in &plan.streams {
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
                    assert_eq!(one, Some(column), "seed {seed}, bank {bank}, column {at}");
                }
            }
        }
    }
    // Every content, and every split that there is of it.
    assert_eq!(seen.len(), 8, "{seen:?}");
}
