//! x
use pimc_lower::{lower, Target};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let model = pimc_ir::load(std::path::Path::new(&path)).unwrap();
    let target = Target::named("hbm3-pim").unwrap();
    let plan = lower(&model, &target).unwrap_or_else(|e| panic!("{}", e.render(false)));
    println!("{} {:?}", plan.cycles, plan.estimate);
    for w in plan.steps.windows(2) {
        println!("   {:6} {:6} {}", w[0].cycle, w[1].cycle - w[0].cycle, w[0].what);
    }
    let last = plan.steps.last().unwrap();
    println!("   {:6} {:6} {}", last.cycle, plan.cycles - last.cycle, last.what);
    if std::env::args().nth(2).is_some() {
        for i in plan.walk().flatten() {
            println!("{:6} {:4} {:?} {}", i.cycle, i.index, i.action, i.value);
        }
    }
}
