//! The page's parts about the paper: its form, what is moved and stored, and clustering.

use super::{n, percent, ratio, Page, Steps, GROUPS};
use crate::attention::compare::cluster::{Clustering, Distances, ITERATIONS};
use crate::attention::compare::published::{attacc, ATTACC, PAPER_SPEEDUP};
use crate::attention::compare::step::measure;
use crate::attention::compare::{function, share, CompareError, HEADS, PSEUDO_CHANNELS};
use crate::attention::literal::{
    run, schedule, Cause, Form, FormDriver, FormLayout, Gather, LiteralStep,
};
use crate::legality;
use crate::target::Target;

/// Forms of the paper's way, each with a name.
const FORMS: [(&str, Form); 4] = [
    ("literal", Form { gather: Gather::Centroid, whole_columns: false, reduced: false }),
    (
        "a row for each element",
        Form { gather: Gather::Element, whole_columns: false, reduced: false },
    ),
    ("whole columns used", Form { gather: Gather::Centroid, whole_columns: true, reduced: false }),
    ("and sums reduced", Form { gather: Gather::Centroid, whole_columns: true, reduced: true }),
];

/// The paper's form of a step, its commands found legal.
fn literal(
    target: &Target,
    group: u32,
    context: u32,
    form: Form,
) -> Result<LiteralStep, CompareError> {
    let target = share(target, group)?;
    let step = schedule(&target, &function(group, context, false).ty, context, form);
    let found = legality::check(&target, step.commands.iter().copied(), step.cycles);
    match found.into_iter().next() {
        Some(violation) => Err(CompareError::Illegal(violation)),
        None => Ok(step),
    }
}

/// Clocks of a step of one query head in the paper's form that takes a token in.
fn with_append(target: &Target, context: u32) -> Result<u64, CompareError> {
    let (target, ty) = (share(target, 1)?, function(1, context, true).ty);
    let mut driver = FormDriver::new(ty);
    let appends = driver.step(1, 1, 1).map_err(|_| CompareError::Unpublished(context))?;
    let layout = FormLayout::new(&target, &ty, FORMS[0].1.gather);
    let mut commands = Vec::new();
    let step = run(&target, &layout, FORMS[0].1, &appends, &mut commands);
    match legality::check(&target, commands, step.cycles).into_iter().next() {
        Some(violation) => Err(CompareError::Illegal(violation)),
        None => Ok(step.cycles),
    }
}

/// The paper's form beside ours.
pub(super) fn paper(
    p: &mut Page,
    steps: &Steps,
    target: &Target,
    uncapped: &Target,
) -> Result<(), CompareError> {
    let a = attacc(32768)?;
    let claim = a.fp16 * 10 / PAPER_SPEEDUP;
    let ours = steps.get(1, a.context, true)?.cycles;
    p.text("## The paper's form");
    p.text(
        "Tables and centroids stay in DRAM rows, and the unit looks up with a column access a code: `pimc_lower::attention::literal` makes the DRAM commands of a step in that form on the same target, legal by the same checker, elements of \
         16 bits (P), no append. The literal form and that with a row for each element are executed as well, command by command on what the banks hold, and their results are golden's bit for bit (`attention = \"indirect\"` under `[mapping]` of a [target](targets.md), on any model with a cache; a report of ours sets the same step in that form beside it); \
         whole columns and reduced sums are what-ifs in clocks alone. Assumed, in its favour where two ways are open (A): 512 bytes of registers for codes and of buffer for the table (an AttAcc buffer, S), 28 codes of 9 bits a column, lookups at the all-bank \
         interval, units and softmax that keep up with anything, transfers hidden behind the next lookups, refresh at the last clock possible, and all 512 centroids of a sub-vector of values in reach of one open row, though they take four rows. \
         **Width:** values take 16 bits in rows and on the bus, and clocks and bytes are those; what is executed are exact integers, of up to 19 bits in a table, which FP16 would round, and slots of 32 bits would put a table into two rows.",
    );
    p.text(&format!(
        "The paper says {}.{}x over an AttAcc of unlimited capacity (P): at 32,768 tokens {} clocks, if that is of attention alone. Ours takes {}.",
        PAPER_SPEEDUP / 10,
        PAPER_SPEEDUP % 10,
        n(claim),
        n(ours),
    ));
    p.head(&["form, MHA", "4,096", "8,192", "16,384", "32,768", "of AttAcc FP16", "of ours"]);
    let mut line = |name: String, target: &Target, form: Form, base: u64, ours: u64| {
        let mut cells = vec![name];
        let mut last = 0;
        for a in ATTACC {
            last = literal(target, 1, a.context, form)?.cycles;
            cells.push(n(last));
        }
        cells.extend([ratio(last, base), ratio(last, ours)]);
        p.row(&cells);
        Ok::<(), CompareError>(())
    };
    for (name, form) in FORMS {
        line(name.into(), target, form, a.fp16, ours)?;
    }
    let free = measure(uncapped, 1, a.context, true)?.cycles;
    line("literal, no power cap".into(), uncapped, FORMS[0].1, a.uncapped, free)?;
    p.line("");
    p.text(&format!(
        "With a token taken in (A: as in the paper's clustering, distances of the one that leaves go to the buffer die; then its code and the new token are written) the literal form takes {} clocks at 32,768 tokens.",
        n(with_append(target, a.context)?),
    ));
    p.text("At 32,768 tokens, clocks by cause; those of column accesses are their intervals:");
    let made: Vec<LiteralStep> =
        FORMS.iter().map(|(_, f)| literal(target, 1, a.context, *f)).collect::<Result<_, _>>()?;
    let names: Vec<&str> = ["clocks"].into_iter().chain(FORMS.iter().map(|f| f.0)).collect();
    p.head(&names);
    let mut line = |name: &str, of: &dyn Fn(&LiteralStep) -> String| {
        let cells: Vec<String> =
            [name.to_string()].into_iter().chain(made.iter().map(of)).collect();
        p.row(&cells);
    };
    for cause in Cause::ALL.into_iter().filter(|cause| *cause != Cause::Append) {
        line(cause.name(), &|s| n(s.clocks(cause)));
    }
    line("**all**", &|s| n(s.cycles));
    line("bus busy with transfers", &|s| n(s.bus_clocks));
    line("column accesses of codes, a bank", &|s| n(s.code_columns));
    line("lookups of keys, a bank", &|s| n(s.lookups[0]));
    line("lookups of values, a bank", &|s| n(s.lookups[1]));
    p.line("");
    let s = &made[0];
    let (keys, values) = (s.clocks(Cause::KeyLookups), s.clocks(Cause::ValueLookups));
    // Used are 2 and 8 bytes of 32.
    let idle = keys * 15 / 16 + values * 3 / 4;
    p.text("Where it loses:");
    p.line(&format!(
        "- **Lanes.** A lookup of a key uses 2 of a column's 32 bytes, of a value 8: of {} clocks of lookups {} ({}) move nothing that is wanted. In whatever way heads and sub-vectors go over the banks, 32 heads of 32 sub-vectors are 1,024, \
         a bank each: a lookup a token and bank. At 6 clocks the keys alone take {} at 32,768 tokens, more than all of AttAcc FP16 ({}).",
        n(keys + values),
        n(idle),
        percent(idle, keys + values),
        n(keys),
        n(a.fp16),
    ));
    let whole = &made[2];
    p.line(&format!(
        "- **Unreduced sums.** {} bytes of scores a token and pseudo-channel, 2 clocks of its bus: hidden behind lookups 6 clocks apart. With every lane used the bus becomes the bound: column accesses wait for it {} clocks, {} of that form. \
         Were transfers not hidden, the literal form would take {} more clocks (arithmetic).",
        u64::from(target.banks) * 2,
        n(whole.clocks(Cause::Bus)),
        percent(whole.clocks(Cause::Bus), whole.cycles),
        n(s.bus_clocks),
    ));
    p.line(&format!(
        "- **Gathering of values.** With lanes used and sums reduced, what is left is mostly a column access for every 4 tokens' centroids: {} clocks of {}. Weights added up by code, then one product a centroid, need the codes alone: \
         28 tokens a column access.",
        n(made[3].clocks(Cause::ValueLookups)),
        n(made[3].cycles),
    ));
    p.line(&format!(
        "- **Rows.** {} clocks: of every batch of codes a row of codes, then one of the table. A row for each element of the values' centroids, which is what 512 of them in a row of 1 KB would mean, takes four lookups a token: {} clocks in all.",
        n(s.clocks(Cause::Rows)),
        n(made[1].cycles),
    ));
    p.line("");
    p.text(
        "So, by these assumptions, the literal form loses to AttAcc, and the printed speedup needs more than it says: some use of several lanes or rows at once, and less on the bus. We have no means to tell which. On the whole decode step the \
         paper's own figures at 32,768 tokens are .12 against .19 of a GPU's time (P): 1.6x.",
    );
    Ok(())
}

/// What is moved and stored.
pub(super) fn bytes(p: &mut Page, steps: &Steps, target: &Target) -> Result<(), CompareError> {
    p.text("## Bytes");
    p.text("Between banks and buffer die in a step of 32,768 tokens, all pseudo-channels (arithmetic, from what the schedules transfer; ours with the append):");
    p.head(&["KiB", "ours, MHA", "ours, GQA 4", "ours, GQA 8", "the paper's form, MHA"]);
    let all = |bytes: u64| n((bytes * u64::from(PSEUDO_CHANNELS)).div_ceil(1024));
    let ours: Vec<_> = GROUPS
        .into_iter()
        .map(|g| Ok(steps.get(g, 32768, true)?.moved))
        .collect::<Result<_, CompareError>>()?;
    let theirs = literal(target, 1, 32768, FORMS[0].1)?.moved;
    let mut line = |name: &str, of: &dyn Fn(usize) -> u64, last: u64| {
        p.row(&[name.to_string(), all(of(0)), all(of(1)), all(of(2)), all(last)]);
    };
    line("queries, new token", &|i| ours[i].inputs, theirs.queries);
    line("scores", &|i| ours[i].scores, theirs.scores);
    line("probabilities", &|i| ours[i].probabilities, theirs.probabilities);
    line("results", &|i| ours[i].results, theirs.results);
    line("**all**", &|i| ours[i].total(), theirs.total());
    p.line("");
    p.text(
        "Stored, of one head (MHA), in KiB: codes as they lie in the columns (28 of 9 bits in 32 bytes), codebooks of 8-bit elements, exact tokens of 8 bits in whole columns. A compressed token takes 73.1 bytes, one of 16 bits 512, of 8 bits 256.",
    );
    p.head(&[
        "context",
        "FP16",
        "int8",
        "codes",
        "codebooks",
        "exact",
        "ours",
        "smaller than FP16",
        "than int8",
    ]);
    for a in ATTACC {
        let [codes, books, exact] = steps.get(1, a.context, false)?.stored;
        let (fp16, ours) = (u64::from(a.context) * 512, codes + books + exact);
        let kib = |b: u64| n(b.div_ceil(1024));
        p.row(&[
            n(a.context.into()),
            kib(fp16),
            kib(fp16 / 2),
            kib(codes),
            kib(books),
            kib(exact),
            kib(ours),
            ratio(fp16, ours),
            ratio(fp16 / 2, ours),
        ]);
    }
    p.line("");
    Ok(())
}

/// Clustering.
pub(super) fn clustering(p: &mut Page, target: &Target) -> Result<(), CompareError> {
    let d = Distances::new(target, 4096)?;
    let ours = [1, 8].map(|encoders| Clustering::new(target, 4096, encoders));
    let [one, all] = ours;
    let ours = [one?, all?];
    let [one, all] = &ours;
    let unit = |bytes: u64| match bytes >> 30 {
        0 => format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.0} GiB", bytes as f64 / f64::from(1 << 30)),
    };
    let iterations = u64::from(ITERATIONS);
    p.text("## Clustering of 4,096 tokens");
    p.text(&format!(
        "{ITERATIONS} iterations of k-means, all {HEADS} heads, keys and values (MHA). In the paper the least distance is found on the buffer die (P), so the distances of every token to every centroid go there, 16 bits each (A): {} an iteration, {} in all; \
         at 32,768 tokens 64 GiB an iteration. Its clocks are arithmetic, refresh included. Ours are those of the schedule of the op `cluster`, legal in all {} (one encoder) and {} runs (8) of its program, refresh included: the host writes the tokens into the banks, as it would write keys and values of a prompt in any case, and \
         starts the program run after run; what it writes beside is {} words of argument memory, at most, a run, in which addresses and weights are. Distances, sums and centroids stay in the banks.",
        unit(d.bytes),
        unit(d.bytes * iterations),
        n(one.runs),
        n(all.runs),
        n(all.words[1]),
    ));
    p.head(&[
        "way",
        "clocks",
        "ms",
        "of ours",
        "estimate",
        "bytes to the buffer die",
        "tokens written",
        "arguments",
    ]);
    let ms = |clocks: u64| format!("{:.1}", clocks as f64 * f64::from(target.timing.tck_ps) / 1e9);
    let sent = unit(d.bytes * iterations);
    let (none, both) = (String::new(), d.bus_clocks.max(d.pass_clocks));
    for (way, clocks, sent) in [
        ("the paper's: bus", d.bus_clocks, &sent),
        ("the paper's: codebooks pass, a token at a time", d.pass_clocks, &none),
        ("the paper's, both at once", both, &sent),
    ] {
        let of = ratio(clocks, all.cycles);
        let empty = String::new;
        p.row(&[way.into(), n(clocks), ms(clocks), of, empty(), sent.clone(), empty(), empty()]);
    }
    for c in &ours {
        let way = match c.encoders {
            1 => "ours: 1 token at a time".to_string(),
            tokens => format!("ours: {tokens} tokens at once"),
        };
        p.row(&[
            way,
            n(c.cycles),
            ms(c.cycles),
            ratio(c.cycles, all.cycles),
            n(c.estimate),
            "0".into(),
            unit(c.written[0]),
            unit(c.written[1]),
        ]);
    }
    p.line("");
    p.text(&format!(
        "Where the clocks go, without refreshes. Of {} passes over the tokens the last one encodes them once more with what came out, as the op says, and keeps their codes: each is read, changed and written with its column. 8 tokens at once are as many as a column has sub-vectors of 4; each needs registers and squares of its own (`encoders` of the target). \
         The sums take {} bytes beside a bank, for weights of 16 bits. The program has {} words.",
        ITERATIONS + 1,
        n(all.sum_bytes),
        n(all.words[0]),
    ));
    p.head(&["part", "1 token", "8 tokens"]);
    for (part, other) in one.parts.iter().zip(&all.parts) {
        p.row(&[part.what.clone(), n(part.clocks), n(other.clocks)]);
    }
    p.row(&["refresh".into(), n(one.refresh), n(all.refresh)]);
    p.row(&["**all**".into(), n(one.cycles), n(all.cycles)]);
    p.line("");
    Ok(())
}
