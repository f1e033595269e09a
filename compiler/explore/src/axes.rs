//! Axes and their cross product.

use pimc_ir::Span;

/// What an axis changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A value of the target file.
    Target {
        /// Its section.
        section: String,
        /// Its key.
        key: String,
    },
    /// A parameter of a weight format.
    Format {
        /// The layer; none is every layer of the format.
        layer: Option<String>,
        /// The parameter.
        key: String,
    },
}

/// One value of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// As TOML writes it.
    pub toml: String,
    /// As the tables show it.
    pub shown: String,
    /// Its place in the sweep file.
    pub span: Span,
}

/// A list of values for one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// What it changes.
    pub place: Place,
    /// The values, each once.
    pub values: Vec<Value>,
    /// Its key in the sweep file.
    pub span: Span,
}

impl Axis {
    /// Its column in the tables.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Target { section, key } => format!("{section}.{key}"),
            Place::Format { layer: None, key } => key.clone(),
            Place::Format { layer: Some(layer), key } => format!("{layer}.{key}"),
        }
    }

    /// Whether it changes the weights.
    pub fn is_format(&self) -> bool {
        matches!(self.place, Place::Format { .. })
    }
}

/// Which value of each axis, for some axes.
pub type Choice = Vec<usize>;

/// Every choice of one value of each of these axes; the last axis changes fastest. Without axes there
/// is one choice, of nothing.
pub fn choices(axes: &[&Axis]) -> Vec<Choice> {
    axes.iter().fold(vec![vec![]], |all, axis| {
        let longer = |choice: &Choice| {
            let choice = choice.clone();
            (0..axis.values.len()).map(move |v| [choice.clone(), vec![v]].concat())
        };
        all.iter().flat_map(longer).collect()
    })
}

/// How many points these axes span, or `None` beyond what can be counted.
pub fn count(axes: &[Axis], targets: usize) -> Option<usize> {
    axes.iter().try_fold(targets, |n, axis| n.checked_mul(axis.values.len()))
}

/// A share of the points: one of `of` parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 0.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// `I/N`, with I below N.
    ///
    /// # Errors
    /// In words, what is wrong with the text.
    pub fn parse(text: &str) -> Result<Shard, String> {
        let parts =
            text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, of)) if index < of => Ok(Shard { index, of }),
            Some((_, 0)) => Err("there is at least one shard".into()),
            Some((_, of)) => Err(format!("shards are numbered 0 to {}", of - 1)),
            None => Err("a shard is written I/N, as in 0/8".into()),
        }
    }

    /// Whether a point is its own. The points of one set of weights stay together if there are at
    /// least as many sets as shards, so that no two shards quantize the same.
    pub fn has(&self, point: usize, weights: usize, sets: usize) -> bool {
        let number = if sets >= self.of { weights } else { point };
        number % self.of == self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, n: usize) -> Axis {
        let value = |i: usize| Value { toml: i.to_string(), shown: i.to_string(), span: 0..0 };
        let place = Place::Format { layer: None, key: name.into() };
        Axis { place, values: (0..n).map(value).collect(), span: 0..0 }
    }

    #[test]
    fn the_product_has_every_choice_once() {
        let (a, b) = (axis("a", 2), axis("b", 3));
        let all = choices(&[&a, &b]);
        assert_eq!(all, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        assert_eq!(choices(&[]), [Vec::<usize>::new()]);
        assert_eq!(count(&[a, b], 2), Some(12));
        assert_eq!(count(&vec![axis("x", 1000); 10], 1), None);
    }

    #[test]
    fn shards_share_all_points_and_no_point_twice() {
        assert_eq!(Shard::parse("2/3"), Ok(Shard { index: 2, of: 3 }));
        for wrong in ["3/3", "0/0", "1", "a/2", "-1/2", "1/2/3"] {
            assert!(Shard::parse(wrong).is_err(), "{wrong}");
        }
        for (sets, of) in [(1, 3), (4, 3), (7, 3), (12, 5)] {
            for point in 0..60 {
                let owners =
                    (0..of).filter(|&index| Shard { index, of }.has(point, point % sets, sets));
                assert_eq!(owners.count(), 1);
            }
        }
    }
}
