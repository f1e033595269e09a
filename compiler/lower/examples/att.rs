//! x
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::CacheType;
use pimc_lower::report::Report;
use pimc_lower::{lower, Target};
fn main() {
    for (g, channels) in [(1usize, "2"), (4, "8"), (8, "16")] {
        for start in [4096usize, 8192, 16384, 32768] {
            let target = Target::named("hbm3-pim")
                .unwrap()
                .with(&[
                    ("stack", "channels", channels),
                    ("unit", "table_bytes", "1000000"),
                    ("buffer", "vector_bytes", "100000000"),
                ])
                .unwrap();
            let ty = CacheType {
                heads: g,
                kv_heads: 1,
                dim: 128,
                tokens: 40000,
                sub: 4,
                k: 512,
                sink: 8,
                recent: 32,
                start: start - 1,
            };
            for append in [true, false] {
                let ty = CacheType { start: if append { start - 1 } else { start }, ..ty };
                let f =
                    CacheModel { ty, queries: 1, append, mul: 3000, shift: 12, frac: 8, bits: 16 };
                let model = f.model("hbm3-pim", 1).unwrap();
                let plan = lower(&model, &target).unwrap_or_else(|e| panic!("{}", e.render(false)));
                println!(
                    "gqa {g} context {start} append {append}: {} estimate {} ({:.3}) program {}",
                    plan.cycles,
                    plan.estimate.cycles,
                    plan.estimate.cycles as f64 / plan.cycles as f64,
                    plan.program.len()
                );
                if start == 4096 && append {
                    let r = Report::new(&plan, &model);
                    println!("{}", serde_json::to_string(&r.run).unwrap());
                    for o in &r.ops {
                        println!("{}", serde_json::to_string(o).unwrap());
                    }
                }
                if start == 32768 && append {
                    for w in plan.steps.windows(2) {
                        println!("   {:6} {}", w[1].cycle - w[0].cycle, w[0].what);
                    }
                    println!(
                        "   {:6} {}",
                        plan.cycles - plan.steps.last().unwrap().cycle,
                        plan.steps.last().unwrap().what
                    );
                }
            }
        }
    }
}
