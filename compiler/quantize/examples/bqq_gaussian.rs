use pimc_quantize::bqq::anneal::*;
use pimc_quantize::bqq::scalars::Shape;
use pimc_quantize::random::Rng;
fn main() {
    let steps: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let seed: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let (m, n, l) = (128, 128, 64);
    let mut rng = Rng::new(seed);
    let mut w: Vec<f64> = (0..m * n).map(|_| rng.normal()).collect();
    let mean = w.iter().sum::<f64>() / w.len() as f64;
    let var = w.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / w.len() as f64;
    w.iter_mut().for_each(|v| *v = (*v - mean) / var.sqrt());
    let mut res: Vec<f32> = w.iter().map(|v| *v as f32).collect();
    for p in 0..4 {
        let t0 = std::time::Instant::now();
        let b = anneal(&res, Shape { m, n, l }, &Anneal { steps, ..Default::default() }, &mut Rng::for_piece(seed, "w", &[p]));
        let a = b.scalars;
        for i in 0..m { for j in 0..n {
            let (mut d, mut sy, mut sz) = (0.0, 0.0, 0.0);
            for k in 0..l { d += b.y[i*l+k]*b.z[k*n+j]; sy += b.y[i*l+k]; sz += b.z[k*n+j]; }
            res[i*n+j] -= (a.r * d as f64 + a.s * sy as f64 + a.t * sz as f64 + a.u) as f32;
        }}
        let mse = res.iter().map(|v| (*v as f64).powi(2)).sum::<f64>() / res.len() as f64;
        println!("{p} {mse:.5} {:?} {:?}", a, t0.elapsed());
    }
}
