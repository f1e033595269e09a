//! Vectors to codes and back.

/// The centroid nearest to `x` by the sum of squared differences, the lowest on a tie. `codebook` holds
/// centroids of `x.len()` elements, one after the other.
pub fn nearest(x: &[i8], codebook: &[i8]) -> usize {
    let distance = |c: &[i8]| -> i64 {
        c.iter().zip(x).map(|(&c, &x)| (i64::from(x) - i64::from(c)).pow(2)).sum()
    };
    let mut best = (i64::MAX, 0);
    for (c, centroid) in codebook.chunks_exact(x.len()).enumerate() {
        let d = distance(centroid);
        if d < best.0 {
            best = (d, c);
        }
    }
    best.1
}
