//! Models that remember: where tokens are held, steps that fail, and how long a long context takes.

use pimc_golden::{run, run_step, GoldenError, State};
use pimc_ir::generated::Noise;
use pimc_ir::testing::{CacheArrays, ModelBuilder};
use pimc_ir::{CacheId, Model, Side};
use std::time::{Duration, Instant};

const KV: CacheId = CacheId(0);

/// Keys of a token that tell its number: all elements are `i`; its values are `-i`.
fn token(i: usize, len: usize) -> (Vec<i64>, Vec<i64>) {
    (vec![i as i64; len], vec![-(i as i64); len])
}

/// A cache of one head of four elements whose centroid c is all 8*c; takes up to three tokens a step.
fn small(sink: usize, recent: usize, start: usize, arrays: CacheArrays) -> Model {
    let text = format!(
        "pimc 1\ntarget \"hbm3-pim\"\n\
         cache @kv : pq_kv<heads=1, kv_heads=1, dim=4, tokens=12, sub=2, k=3, sink={sink}, recent={recent}, \
         start={start}> from \"kv\"\n\
         func @main(%q: i8<4>, %k: i8<12>, %v: i8<12>, %n: i32<1>, %l: i64<1>) -> i32<5> {{\n  \
         %before = attend @kv, %q, %l, mul=4096, shift=0, frac=0, state : i32<5>\n  \
         %len = append @kv, %k, %v, %n : i8<1>\n  return %before\n}}\n"
    );
    let book: Vec<i8> = [0i8, 0, 8, 8, 16, 16].repeat(2);
    let value_codebook = book.iter().map(|x| -x).collect();
    let arrays = CacheArrays { key_codebook: book, value_codebook, ..arrays };
    ModelBuilder::new(text).cache("kv", &arrays).build().unwrap_or_else(|d| panic!("{d}"))
}

/// Inputs of a step that takes `count` tokens from number `first` on.
fn step(first: usize, count: i64) -> Vec<Vec<i64>> {
    let tokens: Vec<_> = (first..first + 3).map(|i| token(i, 4)).collect();
    let keys = tokens.iter().flat_map(|t| t.0.clone()).collect();
    let values = tokens.iter().flat_map(|t| t.1.clone()).collect();
    vec![vec![1; 4], keys, values, vec![count], vec![i64::MAX]]
}

#[test]
fn a_token_is_exact_in_sink_and_recent_and_a_code_between() {
    for (sink, recent) in [(0, 0), (2, 0), (0, 3), (2, 3), (5, 7), (12, 0)] {
        let model = small(sink, recent, 0, CacheArrays::default());
        let mut state = State::initial(&model);
        let mut n = 0;
        for count in [1, 0, 3, 2, 3, 3] {
            run_step(&model, &mut state, &step(n, count)).unwrap();
            n += count as usize;
            let cache = state.cache(KV);
            assert_eq!(cache.tokens(), n);
            let mut codes = vec![];
            for p in 0..n {
                let kept = p < sink || p + recent >= n;
                let held = cache.exact(p).map(|t| (t.side(Side::Key)[0], t.side(Side::Value)[3]));
                assert_eq!(
                    held,
                    kept.then_some((p as i8, -(p as i8))),
                    "{p} of {n}, {sink} {recent}"
                );
                // Halfway between two centroids the lower one: 4 is 0.
                let code = if p <= 4 { 0 } else { 1 };
                codes.extend((!kept).then_some([code; 2]));
            }
            assert_eq!(cache.exact(n), None);
            assert_eq!(cache.compressed(), codes.len());
            assert_eq!(cache.codes(Side::Key), codes.concat());
            assert_eq!(cache.codes(Side::Value), codes.concat());
        }
    }
}

#[test]
fn a_cache_that_begins_with_tokens_is_one_that_took_them() {
    for (sink, recent) in [(0, 0), (1, 2), (4, 4), (3, 0)] {
        for taken in [1, 3, 5, 7] {
            let grown = small(sink, recent, 0, CacheArrays::default());
            let mut state = State::initial(&grown);
            for i in 0..taken {
                run_step(&grown, &mut state, &step(i, 1)).unwrap();
            }
            let cache = state.cache(KV);
            let exact = |side| -> Vec<i8> {
                let tokens = (0..taken).filter_map(|p| cache.exact(p));
                tokens.flat_map(|t| t.side(side).to_vec()).collect()
            };
            let arrays = CacheArrays {
                key_codes: cache.codes(Side::Key).to_vec(),
                value_codes: cache.codes(Side::Value).to_vec(),
                keys: exact(Side::Key),
                values: exact(Side::Value),
                ..CacheArrays::default()
            };
            let begun = small(sink, recent, taken, arrays);
            let mut other = State::initial(&begun);
            for i in [20, 40] {
                let a = run_step(&grown, &mut state, &step(i, 2)).unwrap();
                let b = run_step(&begun, &mut other, &step(i, 2)).unwrap();
                assert_eq!(a, b, "{sink} {recent}, {taken} tokens");
                assert_eq!(state.cache(KV).tokens(), other.cache(KV).tokens());
                assert_eq!(state.cache(KV).codes(Side::Key), other.cache(KV).codes(Side::Key));
                assert_eq!(state.cache(KV).exact(taken), other.cache(KV).exact(taken));
            }
        }
    }
}

#[test]
fn ops_act_on_the_cache_in_the_order_they_are_written() {
    let model = small(1, 1, 0, CacheArrays::default());
    let mut state = State::initial(&model);
    let first = run_step(&model, &mut state, &step(7, 1)).unwrap();
    assert_eq!(first.values[5], [0, 0, 0, 0, i64::from(i32::MIN)], "nothing is there as yet");
    assert_eq!(first.values[6], [1]);
    let second = run_step(&model, &mut state, &step(9, 1)).unwrap();
    // One token: its value, and its score times 4096.
    assert_eq!(second.result(), [-7, -7, -7, -7, 28 * 4096]);
    assert_eq!(second.values[6], [2]);
    // Alone, a step begins where the tensors say.
    assert_eq!(run(&model, &step(9, 1)).unwrap().values[6], [1]);
}

#[test]
fn a_step_that_fails_leaves_the_state_alone() {
    let model = small(2, 2, 0, CacheArrays::default());
    let mut state = State::initial(&model);
    for i in 0..3 {
        run_step(&model, &mut state, &step(i, 3)).unwrap();
    }
    run_step(&model, &mut state, &step(9, 2)).unwrap();
    let before = state.clone();
    for (count, text) in [
        (-1, "%len: -1 tokens are to be taken, 3 are given"),
        (4, "%len: 4 tokens are to be taken, 3 are given"),
        (2, "%len: 13 tokens do not fit into @kv, which has room for 12"),
    ] {
        let error = run_step(&model, &mut state, &step(0, count)).unwrap_err();
        assert_eq!(error.to_string(), text);
        let span = error.span().unwrap();
        assert_eq!(&model.source[span], "%len = append @kv, %k, %v, %n : i8<1>");
        assert_eq!(state, before);
    }
    run_step(&model, &mut state, &step(0, 1)).unwrap();
    assert_eq!(state.cache(KV).tokens(), 12);
    run_step(&model, &mut state, &step(0, 0)).unwrap();
}

#[test]
fn a_later_error_undoes_what_earlier_ops_did() {
    let text = "pimc 1\ntarget \"hbm3-pim\"\n\
        cache @kv : pq_kv<heads=2, kv_heads=2, dim=2, tokens=3, sub=1, k=2, sink=0, recent=0> from \"kv\"\n\
        func @main(%k: i8<12>, %w: i32<6>, %n: i4<1>, %m: i4<1>) -> i4<1> {\n  \
        %len = append @kv, %k, %k, %m : i4<1>\n  \
        %all = cluster @kv, %k, %k, %w, %n : i4<1>\n  return %all\n}\n";
    let model = ModelBuilder::new(text).build().unwrap_or_else(|d| panic!("{d}"));
    let mut state = State::initial(&model);
    let before = state.clone();
    let inputs = |n: i64, w: i64| vec![vec![5; 12], vec![0, 0, 0, w, 0, -1], vec![n], vec![1]];
    let error = run_step(&model, &mut state, &inputs(2, -7)).unwrap_err();
    assert_eq!(error.to_string(), "%all: weight 3 is -7: weights are 0 or more");
    assert!(matches!(error, GoldenError::TokenWeight { .. }) && error.span().is_some());
    assert_eq!(state, before);
    let error = run_step(&model, &mut state, &inputs(-3, 0)).unwrap_err();
    assert_eq!(error.to_string(), "%all: -3 tokens are to be taken, 3 are given");
    // Weights behind the tokens that are meant say nothing.
    let trace = run_step(&model, &mut state, &inputs(2, 0)).unwrap();
    assert_eq!((trace.value(pimc_ir::ValueId(4)), trace.result()), (&[1][..], &[2][..]));
    assert_eq!(state.cache(KV).codebook(Side::Value), [5; 8]);
}

/// 4096 tokens, 8 heads of 128 elements with caches of their own.
#[test]
fn a_step_of_a_long_context_is_quick() {
    let (tokens, heads, dim) = (4096, 8, 128);
    let (coded, len) = (tokens - 72, heads * dim);
    let text = format!(
        "pimc 1\ntarget \"hbm3-pim\"\n\
         cache @kv : pq_kv<heads={heads}, kv_heads={heads}, dim={dim}, tokens=8192, sub=4, k=512, sink=8, \
         recent=64, start={tokens}> from \"kv\"\n\
         func @main(%q: i8<{len}>, %k: i8<{len}>, %n: i32<1>, %l: i32<1>) -> i16<{len}> {{\n  \
         %len = append @kv, %k, %k, %n : i32<1>\n  \
         %o = attend @kv, %q, %l, mul=1, shift=3, frac=8 : i16<{len}>\n  return %o\n}}\n"
    );
    let mut noise = Noise(3);
    let mut bytes = |n: usize| -> Vec<i8> { (0..n).map(|_| noise.word() as i8).collect() };
    let (book, exact) = (heads * dim * 512, 72 * len);
    let (key_codebook, value_codebook) = (bytes(book), bytes(book));
    let (keys, values) = (bytes(exact), bytes(exact));
    let query: Vec<i64> = bytes(len).into_iter().map(i64::from).collect();
    let mut codes = || (0..coded * len / 4).map(|_| (noise.word() % 512) as u16).collect();
    let (key_codes, value_codes) = (codes(), codes());
    let arrays = CacheArrays { key_codebook, value_codebook, key_codes, value_codes, keys, values };
    let model = ModelBuilder::new(text).cache("kv", &arrays).build();
    let model = model.unwrap_or_else(|d| panic!("{d}"));
    let mut state = State::initial(&model);
    let begun = Instant::now();
    let inputs = [query.clone(), query, vec![1], vec![i64::from(i32::MAX)]];
    let trace = run_step(&model, &mut state, &inputs).unwrap();
    let took = begun.elapsed();
    println!("a step took {took:?}");
    assert_eq!(state.cache(KV).tokens(), tokens + 1);
    assert!(trace.result().iter().any(|&x| x != 0));
    assert!(took < Duration::from_secs(2), "a step took {took:?}");
}
