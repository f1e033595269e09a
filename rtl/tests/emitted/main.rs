//! What is printed: accepted by the tools, and as committed.

mod shapes;
#[path = "../tools/mod.rs"]
mod tools;
mod trouble;

use pimc_rtl::attention::AttentionShape;
use pimc_rtl::attention_unit::AttentionUnit;
use pimc_rtl::bank_unit::BankUnit;
use pimc_rtl::block_control::BlockControl;
use pimc_rtl::block_planes::BlockPlanes;
use pimc_rtl::block_rows::BlockRows;
use pimc_rtl::block_unit::BlockUnit;
use pimc_rtl::gated_sum::GatedSum;
use pimc_rtl::hdl::{Inst, Unit};
use pimc_rtl::mac_row::MacRow;
use pimc_rtl::merge_unit::MergeUnit;
use pimc_rtl::shape::{BufferShape, ChannelShape, LookupShape, MacShape};
use pimc_rtl::sign_gen::SignGen;
use pimc_rtl::softmax_unit::SoftmaxUnit;
use pimc_rtl::sv::{emit, Provenance, SvFile};
use pimc_rtl::table_build::TableBuild;
use pimc_rtl::table_lookup::TableLookup;
use pimc_rtl::testing::{self, channel};
use shapes::{attentions, banks, blocks, caches, clusters, gated, lookup, wide_banks};

fn printed<U: Unit>(unit: U) -> Vec<SvFile> {
    let source = vec!["Source: example.ir (sha256 0123456789ab)".to_string()];
    emit(&Inst::new(unit), &Provenance { version: "0.0.0".into(), source, ..Provenance::default() })
}

fn attention(shape: &ChannelShape) -> AttentionUnit {
    AttentionUnit::new(shape).expect("a channel with a cache")
}

fn merge_unit(mean_bits: u32) -> MergeUnit {
    let shape = channel(banks().swap_remove(0).1);
    let buffer = BufferShape { merge: Some(testing::merge(mean_bits)), ..shape.buffer };
    MergeUnit::new(&ChannelShape { buffer, ..shape }).expect("a channel that merges")
}

type Design = (&'static str, Vec<SvFile>);

/// Every softmax.
fn softmaxes() -> Vec<(&'static str, Vec<SvFile>)> {
    let unit =
        |(name, (shape, channel)): (_, (_, _))| (name, printed(SoftmaxUnit::new(&shape, &channel)));
    attentions().into_iter().map(unit).collect()
}

/// Every bank, and so every unit in it.
fn bank_designs() -> Vec<Design> {
    let narrow = banks().into_iter().map(|(name, bank)| (name, channel(bank)));
    let wide = wide_banks()
        .into_iter()
        .map(|(name, bank)| (name, ChannelShape { beats: 2, beat_bits: 128, ..channel(bank) }));
    narrow.chain(wide).map(|(name, shape)| (name, printed(BankUnit::new(&shape)))).collect()
}

/// Caches, and so every unit in them.
fn cache_designs(shapes: Vec<(&'static str, ChannelShape)>) -> Vec<Design> {
    shapes.into_iter().map(|(name, shape)| (name, printed(attention(&shape)))).collect()
}

fn designs() -> Vec<Design> {
    let clusters = clusters().concat();
    [bank_designs(), cache_designs(caches()), cache_designs(clusters)].concat()
}

fn top(files: &[SvFile]) -> &str {
    files.last().map_or("", |f| f.name.trim_end_matches(".sv"))
}

/// Every other design each: the tools run on one processor.
fn lint_all(kind: &str, designs: &[Design]) {
    std::thread::scope(|scope| {
        for first in 0..2 {
            let of_this = designs.iter().skip(first).step_by(2);
            scope.spawn(move || {
                for (name, files) in of_this {
                    tools::lint(&format!("{kind}/{name}"), top(files), files);
                }
            });
        }
    });
}

#[test]
fn the_tools_have_nothing_to_say_of_banks() {
    lint_all("bank", &bank_designs());
}

#[test]
fn the_tools_have_nothing_to_say_of_caches() {
    let shapes = [caches(), clusters().concat()].concat();
    for (name, shape) in shapes {
        let attention = shape.bank.attention.as_ref().map(|a| a.faults(&shape));
        assert_eq!(attention, Some(vec![]), "{name}");
    }
    let [few, _] = clusters();
    lint_all("cache", &cache_designs([caches(), few].concat()));
}

#[test]
fn the_tools_have_nothing_to_say_of_more_clusters() {
    let [_, more] = clusters();
    lint_all("cluster", &cache_designs(more));
}

#[test]
fn the_tools_have_nothing_to_say_of_a_softmax() {
    for (name, files) in softmaxes() {
        tools::lint(&format!("softmax/{name}"), top(&files), &files);
    }
}

/// Of elements that need a clamp, that need none, and of a bit.
#[test]
fn the_tools_have_nothing_to_say_of_a_merge() {
    for bits in [1, 20, 26, 27, 32] {
        let files = printed(merge_unit(bits));
        tools::lint(&format!("merge/{bits}"), top(&files), &files);
    }
}

#[test]
#[should_panic(expected = "WIDTH")]
fn a_fault_in_the_text_is_complained_about() {
    let mut files = printed(MacRow::new(&MacShape { acc_bits: 20 }, 64));
    let (right, wrong) = ("logic signed [AccW-1:0] kept;", "logic signed [AccW-2:0] kept;");
    assert!(files[0].text.contains(right), "{}", files[0].text);
    files[0].text = files[0].text.replace(right, wrong);
    tools::lint("planted", top(&files), &files);
}

/// The style that no tool checks.
#[test]
fn the_text_keeps_the_house_style() {
    for (name, files) in designs().into_iter().chain(softmaxes()) {
        for file in files {
            let module = file.name.trim_end_matches(".sv").to_string();
            let at = |what: &str| format!("{name}: {}: {what}", file.name);
            assert!(module.starts_with("pimc_"), "{}", at("prefix"));
            assert!(file.text.contains(&format!("\nmodule {module} ")), "{}", at("file name"));
            assert!(file.text.ends_with(&format!("\nendmodule : {module}\n")), "{}", at("end"));
            assert!(file
                .text
                .starts_with("// SPDX-License-Identifier: Apache-2.0\n// Generated by"));
            assert!(file.text.is_ascii() && !file.text.contains('\t'), "{}", at("characters"));
            assert!(
                !file.text.contains("verilator") && !file.text.contains("\n\n\n"),
                "{}",
                at("pragma")
            );
            let lines = file.text.lines().count();
            assert!(lines <= 420, "{}", at(&format!("{lines} lines")));
            for line in file.text.lines() {
                assert!(line.len() <= 100, "{}", at(line));
                assert!(!line.ends_with(' '), "{}", at(line));
            }
        }
    }
}

#[test]
fn the_same_shape_gives_the_same_bytes() {
    assert_eq!(designs(), designs());
    assert_eq!(softmaxes(), softmaxes());
}

fn snapshot<U: Unit>(unit: U) {
    let files = printed(unit);
    let text = files.last().map_or("", |f| &f.text);
    insta::assert_snapshot!(top(&files), text);
}

/// The units of a cache of several slices, rows and groups, whose codebooks are padded.
fn small_cache() -> Vec<SvFile> {
    let cache = testing::attention(8, (4, 2, 30), (2, 1), (2, 6, 100));
    let sliced = AttentionShape { members: 2, slices: 2, groups: 4, ..cache };
    let files = printed(attention(&testing::attention_channel(8, sliced, 64)));
    files.into_iter().filter(|f| f.name.contains("attention")).collect()
}

/// What clusters the tokens of a cache of several slices, whose codebooks are padded.
fn small_cluster() -> Vec<SvFile> {
    let cache = testing::attention(2, (4, 2, 30), (1, 1), (2, 6, 100));
    let cache = testing::clustering(cache, 2, 18);
    let files = printed(attention(&testing::attention_channel(2, cache, 64)));
    let parts = ["means", "divide"].map(|part| format!("pimc_attention_{part}.sv"));
    files.into_iter().filter(|f| parts.contains(&f.name)).collect()
}

#[test]
fn small_shapes_read_as_committed() {
    let small = LookupShape { lanes: 4, chunk: 2, entry_bits: 12, acc_bits: 15, ..lookup(4, 2, 2) };
    snapshot(TableBuild::new(&small, 4));
    snapshot(TableLookup::new(&small));
    snapshot(GatedSum::new(&gated(Some(1)), Some(&blocks(64)), 64));
    snapshot(BlockUnit::new(&blocks(130), &gated(None), 9, 64));
    snapshot(BlockControl::new(&blocks(130), 9, 4, 3));
    snapshot(BlockPlanes::new(3, 2, 64));
    snapshot(BlockRows::new(&blocks(130)));
    snapshot(SignGen::new(16, 64));
    snapshot(MacRow::new(&MacShape { acc_bits: 20 }, 64));
    snapshot(merge_unit(12));
    for part in small_cache() {
        insta::assert_snapshot!(part.name.trim_end_matches(".sv"), part.text);
    }
    let (_, bank) = banks().swap_remove(1);
    snapshot(BankUnit::new(&channel(bank)));
}

#[test]
fn a_small_cluster_reads_as_committed() {
    for part in small_cluster() {
        insta::assert_snapshot!(part.name.trim_end_matches(".sv"), part.text);
    }
}

#[test]
fn a_small_softmax_reads_as_committed() {
    let (_, files) = softmaxes().into_iter().find(|d| d.0 == "small").expect("the small one");
    // The second curve differs from the first in its numbers only.
    let shown =
        files.iter().filter(|f| f.name.starts_with("pimc_s") && !f.name.contains("curve_r"));
    for file in shown {
        insta::assert_snapshot!(file.name.trim_end_matches(".sv"), file.text);
    }
}

#[test]
fn the_memory_reads_as_committed() {
    let (_, bank) = banks().swap_remove(1);
    let files = printed(BankUnit::new(&channel(bank)));
    let ram = files.iter().find(|f| f.name == "pimc_ram_1r1w.sv").expect("the memory");
    insta::assert_snapshot!("pimc_ram_1r1w", ram.text);
}
