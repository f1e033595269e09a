//! Leaves out loads of inputs that the bank units already hold: matrices that take the same vector,
//! such as those of queries, keys and values, load it once.
//!
//! Works on addresses alone. The byte memories and the plane memories of the banks each hold what the
//! last group of neighbouring loads put there; a group that is equal to it, of words that nothing has
//! written since, changes nothing.

use super::{Task, TaskKind};
use pimc_rtl::isa::{VecOp, Vector};

/// What a memory of the bank units holds.
#[derive(Default)]
struct Held {
    loads: Vec<Vector>,
    /// None of the words loaded was written since.
    current: bool,
}

impl Held {
    /// Notes a write of `len` words at `d`.
    fn written(&mut self, d: u32, len: u32) {
        let apart = |v: &Vector| v.a + v.len <= d || d + len <= v.a;
        self.current &= self.loads.iter().all(apart);
    }
}

/// The load of a task.
fn load(task: &Task) -> Option<Vector> {
    match task.kind {
        TaskKind::Vec { vector, .. } => vector.op.loads().then_some(vector),
        TaskKind::Stream { .. } => None,
    }
}

/// The tasks without the loads that change nothing.
pub(super) fn without_repeated_loads(tasks: Vec<Task>) -> Vec<Task> {
    let (mut bytes, mut planes) = (Held::default(), Held::default());
    let mut kept = Vec::with_capacity(tasks.len());
    for group in tasks.chunk_by(|a, b| load(a).map(|v| v.op) == load(b).map(|v| v.op)) {
        let loads: Vec<Vector> = group.iter().filter_map(load).collect();
        let Some(first) = loads.first() else {
            for task in group {
                if let TaskKind::Vec { vector, .. } = task.kind {
                    let len = match vector.op {
                        VecOp::Argmax | VecOp::Sum => 1,
                        _ => vector.len,
                    };
                    bytes.written(vector.d, len);
                    planes.written(vector.d, len);
                }
            }
            kept.extend_from_slice(group);
            continue;
        };
        let held = if first.op == VecOp::LoadBytes { &mut bytes } else { &mut planes };
        if held.current && held.loads == loads {
            continue;
        }
        *held = Held { loads, current: true };
        kept.extend_from_slice(group);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::{vector, Known};
    use super::*;

    fn vec(vector: Vector) -> Task {
        let kind = TaskKind::Vec { vector, known: Known::Nothing };
        Task { op: 0, what: String::new(), kind }
    }

    fn bytes(a: u32, bank: u32) -> Task {
        vec(Vector { bank, ..vector(VecOp::LoadBytes, a, 8, 8, 16) })
    }

    fn stream() -> Task {
        Task { op: 0, what: String::new(), kind: TaskKind::Stream { stream: 0, x: 0 } }
    }

    fn left(tasks: &[Task]) -> usize {
        without_repeated_loads(tasks.to_vec()).len()
    }

    #[test]
    fn the_same_loads_are_left_out() {
        let group = [bytes(0, 0), bytes(16, 2), stream()];
        let twice = [group.clone(), group.clone()].concat();
        assert_eq!(left(&twice), 4);
        // A write elsewhere does not matter, one to the last word does.
        let add = |d| [vec(vector(VecOp::Add, 40, 60, d, 4))];
        let between = |d| [&group[..], &add(d), &group].concat();
        assert_eq!(left(&between(32)), 5);
        assert_eq!(left(&between(31)), 7);
        assert_eq!(left(&between(29)), 7);
        // A sum writes one word, whatever its length.
        let sum = |d| [&group[..], &[vec(vector(VecOp::Sum, 40, 0, d, 100))], &group].concat();
        assert_eq!((left(&sum(32)), left(&sum(31))), (5, 7));
    }

    #[test]
    fn other_loads_and_a_part_of_the_loads_stay() {
        let (a, b) = ([bytes(0, 0), stream()], [bytes(64, 0), stream()]);
        assert_eq!(left(&[&a[..], &b, &a].concat()), 6);
        let both = [bytes(0, 0), bytes(16, 2), stream()];
        assert_eq!(left(&[&both[..], &a].concat()), 5);
        assert_eq!(left(&[&a[..], &both].concat()), 5);
        // Planes are another memory.
        let planes = vec(vector(VecOp::LoadPlanes, 64, 0, 0, 16));
        assert_eq!(left(&[&a[..], &[planes, stream()], &a].concat()), 5);
    }
}
