//! The signals that the check reads: their names, their slots in a sample, and where a waveform has
//! them.

use super::reader::{Part, Wave};
use crate::error::Error;
use pimc_rtl::shape::ChannelShape;
use std::path::Path;

/// Signals of the channel itself, in the order of their slots.
pub(crate) const CHANNEL: [&str; 10] = [
    "rst_ni",
    "start_i",
    "done_o",
    "cmd_valid_o",
    "cmd_o",
    "cmd_row_o",
    "cmd_col_o",
    "host_we_i",
    "host_addr_i",
    "host_wdata_i",
];
pub(crate) const RST: usize = 0;
pub(crate) const START: usize = 1;
pub(crate) const DONE: usize = 2;
pub(crate) const CMD_VALID: usize = 3;
pub(crate) const CMD: usize = 4;
pub(crate) const CMD_ROW: usize = 5;
pub(crate) const CMD_COL: usize = 6;
pub(crate) const HOST_WE: usize = 7;
pub(crate) const HOST_ADDR: usize = 8;
pub(crate) const HOST_DATA: usize = 9;

/// Signals of the buffer unit, after those of the channel. `write_data` has a slot for each lane.
pub(crate) const BUFFER: [&str; 3] = ["write_en", "write_addr", "write_data"];
pub(crate) const WRITE_EN: usize = CHANNEL.len();
pub(crate) const WRITE_ADDR: usize = WRITE_EN + 1;
pub(crate) const WRITE_DATA: usize = WRITE_EN + 2;

/// Signals of each bank unit, after those.
pub(crate) const BANK: [&str; 6] =
    ["col_valid_i", "rd_data_i", "column_done", "column_acc", "row_valid_o", "row_value_o"];

/// What stands for them in an attention unit: of the scores of a beat those of the first lane and row. No
/// results of matrix rows leave it.
pub(crate) const ATTENTION: [&str; 4] = ["col_valid_i", "rd_data_i", "score_valid_o", "score_o"];

/// The signals that the check reads in an attention unit.
pub(crate) fn attention_names() -> &'static [&'static str] {
    &ATTENTION
}

/// Where the unit of a bank stands in the channel.
fn unit(shape: &ChannelShape, bank: u32) -> String {
    match shape.bank.attention {
        Some(_) => format!("u_attention.gen_unit[{bank}].u_unit"),
        None => format!("gen_bank[{bank}].u_bank"),
    }
}

/// The signals of a bank's unit, one for each slot of it.
fn unit_signals(shape: &ChannelShape) -> [&'static str; BANK.len()] {
    match shape.bank.attention {
        Some(_) => {
            let [valid, data, score_valid, score] = ATTENTION;
            // The last two are not looked at.
            [valid, data, score_valid, score, valid, valid]
        }
        None => BANK,
    }
}

/// Slot of the first signal of a bank unit, behind a vector memory of `lanes` lanes.
pub(crate) fn bank_at(lanes: usize, bank: usize) -> usize {
    WRITE_DATA + lanes + bank * BANK.len()
}

/// Where the word of a lane lies in `write_data`: its lowest bit.
fn lane_at(shape: &ChannelShape, lane: u32) -> u32 {
    lane * shape.buffer.word_bits
}

/// The signals' names, in the order of their slots.
pub(crate) fn names(shape: &ChannelShape) -> Vec<String> {
    let [enable, addr, data] = BUFFER.map(|n| format!("u_buffer.{n}"));
    let mut names: Vec<String> = CHANNEL.iter().map(ToString::to_string).collect();
    names.extend([enable, addr]);
    names.extend((0..shape.lanes()).map(|lane| {
        let at = lane_at(shape, lane);
        format!("{data}[{}:{at}]", at + shape.buffer.word_bits - 1)
    }));
    for bank in 0..shape.banks {
        let unit = unit(shape, bank);
        names.extend(unit_signals(shape).iter().map(|n| format!("{unit}.{n}")));
    }
    names
}

/// The names of the signals that the check reads: (in the channel, in the buffer unit, in a bank
/// unit).
pub fn signal_names() -> (&'static [&'static str], &'static [&'static str], &'static [&'static str])
{
    (&CHANNEL, &BUFFER, &BANK)
}

/// The scope that holds the units of the banks and the buffer unit.
pub(crate) fn channel_scope(
    wave: &Wave,
    path: &Path,
    shape: &ChannelShape,
) -> Result<String, Error> {
    let banks = shape.banks;
    let last = format!(".{}", unit(shape, banks - 1));
    let mut scopes: Vec<&str> =
        wave.vars.iter().filter_map(|v| v.scope.strip_suffix(last.as_str())).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let past = unit(shape, banks);
    scopes.retain(|s| !wave.vars.iter().any(|v| v.scope == format!("{s}.{past}")));
    match scopes[..] {
        [one] => Ok(one.to_string()),
        [] => Err(Error::content(
            path,
            format!("shows no pimc_channel of {banks} banks (a scope with {} to {}); was the whole hierarchy dumped, and is it the design of this folder?", unit(shape, 0), unit(shape, banks - 1)),
        )),
        _ => Err(Error::content(path, format!("shows several channels: {}", scopes.join(", ")))),
    }
}

/// The clock and the signals in the order of their slots.
pub(crate) fn slots(
    wave: &Wave,
    path: &Path,
    scope: &str,
    shape: &ChannelShape,
) -> Result<(usize, Vec<Part>), Error> {
    let mut missing = Vec::new();
    let mut find = |scope: &str, name: &str| {
        let at = wave.find(scope, name);
        if at.is_none() {
            missing.push(format!("{scope}.{name}"));
        }
        at.unwrap_or(0)
    };
    let clock = find(scope, "clk_i");
    let buffer = format!("{scope}.u_buffer");
    let mut vars: Vec<usize> = CHANNEL.iter().map(|n| find(scope, n)).collect();
    vars.extend(BUFFER.iter().map(|n| find(&buffer, n)));
    for b in 0..shape.banks {
        let bank = format!("{scope}.{}", unit(shape, b));
        vars.extend(unit_signals(shape).iter().map(|n| find(&bank, n)));
    }
    if !missing.is_empty() {
        let more = missing.len().saturating_sub(4);
        missing.truncate(4);
        let mut list = missing.join(", ");
        if more > 0 {
            list += &format!(" and {more} more");
        }
        let what = format!("lacks signals that the check reads: {list}");
        return Err(Error::content(path, what));
    }
    let data = vars[WRITE_DATA];
    let (has, needs) = (wave.vars[data].bits, lane_at(shape, shape.lanes()));
    if has != needs {
        let what = format!(
            "{buffer}.{} has {has} bits, in the design of this folder it has {needs}",
            BUFFER[2]
        );
        return Err(Error::content(path, what));
    }
    let bits = shape.buffer.word_bits;
    let lane = |lane| Part { var: data, at: lane_at(shape, lane), bits };
    let mut slots: Vec<Part> = vars.iter().map(|&v| wave.whole(v)).collect();
    slots.splice(WRITE_DATA..=WRITE_DATA, (0..shape.lanes()).map(lane));
    if let Some(attention) = &shape.bank.attention {
        // Of all scores of a beat the lowest.
        for bank in 0..shape.banks as usize {
            let slot = &mut slots[bank_at(shape.lanes() as usize, bank) + 3];
            *slot = Part { bits: attention.part_bits(), ..*slot };
        }
    }
    Ok((clock, slots))
}
