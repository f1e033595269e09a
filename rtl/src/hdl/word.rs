//! Integers of a run-time width: the values on the wires.

use std::cmp::Ordering;
use std::ops::{Add, BitAnd, BitOr, BitXor, Mul, Neg, Not, Shl, Shr, Sub};

/// The run-time type of a word: how wide it is, and whether its top bit is a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ty {
    /// Bits, 1 to 128; 0 is a bare literal, which takes the type of its neighbour.
    pub width: u32,
    /// Two's complement.
    pub signed: bool,
}

/// An unsigned word of `width` bits.
pub const fn u(width: u32) -> Ty {
    Ty { width, signed: false }
}

/// A signed word of `width` bits.
pub const fn s(width: u32) -> Ty {
    Ty { width, signed: true }
}

const LITERAL: Ty = u(0);

impl Ty {
    /// The value in this type's range that is congruent to `x` modulo 2^width. An unsigned word of 128
    /// bits is the `i128` of the same bits, whose sign says nothing; shifts and comparisons know.
    #[inline]
    pub fn wrap(self, x: i128) -> i128 {
        // Nearly every word has at most 64 bits, and 64-bit shifts are much the faster.
        match (self.width, self.signed) {
            (0, _) => x,
            (1..=64, true) => ((x as i64) << (64 - self.width) >> (64 - self.width)).into(),
            (1..=64, false) => ((x as u64) << (64 - self.width) >> (64 - self.width)).into(),
            (_, true) => (x << (128 - self.width)) >> (128 - self.width),
            (_, false) => ((x << (128 - self.width)) as u128 >> (128 - self.width)) as i128,
        }
    }

    /// How two values of this type compare.
    #[inline]
    fn compare(self, a: i128, b: i128) -> Ordering {
        let (a, b) = (self.wrap(a), self.wrap(b));
        if self.signed || self.width == 0 {
            a.cmp(&b)
        } else {
            (a as u128).cmp(&(b as u128))
        }
    }

    /// Whether `x` is in range.
    #[inline]
    pub fn holds(self, x: i128) -> bool {
        self.wrap(x) == x
    }
}

/// A value of a run-time type.
///
/// Arithmetic is exact until the value reaches a wire, a cast, a comparison or a right shift, and
/// wraps there: a sum assigned to a wider wire keeps its carry. This is Verilog's rule that an
/// expression is computed in the width of its context; the back end writes the casts out.
/// Operands must agree in sign; a narrower one is extended. The complement of a single bit is one.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    x: i128,
    ty: Ty,
}

impl Word {
    /// `x`, wrapped into `ty`.
    #[inline]
    pub fn new(ty: Ty, x: i128) -> Self {
        Word { x: ty.wrap(x), ty }
    }

    /// The value.
    #[inline]
    pub fn get(self) -> i128 {
        self.ty.wrap(self.x)
    }

    /// The type; width 0 for a bare literal.
    #[inline]
    pub fn ty(self) -> Ty {
        self.ty
    }

    /// The exact value before any wrapping; what a wire takes.
    #[inline]
    pub(super) fn exact(self) -> i128 {
        self.x
    }

    /// Its width, as `hdl_gen` asks for it when it lowers a `bit_cast`.
    #[inline]
    pub fn bits(&self) -> usize {
        self.ty.width as usize
    }

    /// Its value as the index of a `Vec` of wires: `self.v[self.at.val().index()]`.
    ///
    /// # Panics
    /// If negative.
    #[inline]
    pub fn index(self) -> usize {
        usize::try_from(self.get()).expect("an index is not negative")
    }

    /// One bit, of a wire (the back end does not select from an expression).
    #[inline]
    pub fn get_bit(self, at: usize) -> bool {
        self.get() >> at & 1 == 1
    }

    /// Whether any bit is set.
    #[inline]
    pub fn any(self) -> bool {
        self.get() != 0
    }

    /// Whether every bit is set.
    #[inline]
    pub fn all(self) -> bool {
        self.ty.wrap(!self.x) == 0
    }

    /// Parity of the set bits.
    #[inline]
    pub fn xor(self) -> bool {
        u(self.ty.width).wrap(self.x).count_ones() & 1 == 1
    }

    /// The type in which two operands meet.
    #[inline]
    fn meet(self, o: Word) -> Ty {
        if self.ty.width == 0 {
            return o.ty;
        }
        if o.ty.width == 0 {
            return self.ty;
        }
        assert_eq!(self.ty.signed, o.ty.signed, "operands of unlike sign: {self:?}, {o:?}");
        Ty { width: self.ty.width.max(o.ty.width), signed: self.ty.signed }
    }

    #[inline]
    fn zip(self, o: Word, f: impl Fn(i128, i128) -> i128) -> Word {
        Word { x: f(self.x, o.x), ty: self.meet(o) }
    }
}

macro_rules! from_integer {
    ($($t:ty),*) => { $(
        impl From<$t> for Word {
            #[inline]
            fn from(x: $t) -> Self {
                Word { x: x as i128, ty: LITERAL }
            }
        }
        impl PartialEq<$t> for Word {
            #[inline]
            fn eq(&self, o: &$t) -> bool {
                self.get() == *o as i128
            }
        }
    )* };
}
from_integer!(i32, u32, u64, usize);

impl From<bool> for Word {
    #[inline]
    fn from(x: bool) -> Self {
        Word { x: x as i128, ty: u(1) }
    }
}

impl PartialEq for Word {
    #[inline]
    fn eq(&self, o: &Word) -> bool {
        let ty = self.meet(*o);
        ty.wrap(self.x) == ty.wrap(o.x)
    }
}

impl PartialOrd for Word {
    #[inline]
    fn partial_cmp(&self, o: &Word) -> Option<Ordering> {
        Some(self.meet(*o).compare(self.x, o.x))
    }
}

macro_rules! binary {
    ($($t:ident $m:ident $f:expr;)*) => { $(
        impl $t for Word {
            type Output = Word;
            #[inline]
            fn $m(self, o: Word) -> Word {
                self.zip(o, $f)
            }
        }
    )* };
}
binary! {
    Add add i128::wrapping_add;
    Sub sub i128::wrapping_sub;
    Mul mul i128::wrapping_mul;
    BitAnd bitand |a, b| a & b;
    BitOr bitor |a, b| a | b;
    BitXor bitxor |a, b| a ^ b;
}

impl Not for Word {
    type Output = Word;
    #[inline]
    fn not(self) -> Word {
        // A single bit is a truth value: its complement does not grow with the context.
        let x = if self.ty == u(1) { !self.x & 1 } else { !self.x };
        Word { x, ty: self.ty }
    }
}

impl Neg for Word {
    type Output = Word;
    #[inline]
    fn neg(self) -> Word {
        Word { x: self.x.wrapping_neg(), ty: self.ty }
    }
}

impl Shl<usize> for Word {
    type Output = Word;
    #[inline]
    fn shl(self, n: usize) -> Word {
        Word { x: if n < 128 { self.x << n } else { 0 }, ty: self.ty }
    }
}

/// Arithmetic for signed words.
impl Shr<usize> for Word {
    type Output = Word;
    #[inline]
    fn shr(self, n: usize) -> Word {
        let x = self.get();
        let x = match (self.ty.signed || self.ty.width == 0, n) {
            (true, n) => x >> n.min(127),
            (false, 0..=127) => (x as u128 >> n) as i128,
            (false, _) => 0,
        };
        Word { x, ty: self.ty }
    }
}

impl Shl<Word> for Word {
    type Output = Word;
    #[inline]
    fn shl(self, n: Word) -> Word {
        self << n.index()
    }
}

impl Shr<Word> for Word {
    type Output = Word;
    #[inline]
    fn shr(self, n: Word) -> Word {
        self >> n.index()
    }
}

/// The value in `width` bits: extended by its own sign, or cut. Not inside a loop over `i` with
/// `i` in the argument: the width is asked for where `i` is not known.
#[inline]
pub fn bit_cast(x: Word, width: u32) -> Word {
    Word::new(Ty { width, signed: x.ty.signed }, x.x)
}

/// The same bits read as signed.
#[inline]
pub fn signed_cast(x: Word) -> Word {
    Word::new(s(x.ty.width), x.x)
}

/// The same bits read as unsigned.
#[inline]
pub fn unsigned_cast(x: Word) -> Word {
    Word::new(u(x.ty.width), x.x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_negative_value_survives_every_cast() {
        let x = Word::new(s(8), -128);
        assert_eq!(bit_cast(x, 16).get(), -128);
        assert_eq!(unsigned_cast(x).get(), 128);
        assert_eq!(signed_cast(unsigned_cast(x)).get(), -128);
        assert_eq!((-x).get(), -128, "in eight bits it is its own negative");
        assert_eq!(bit_cast(-x, 9).get(), 128, "in nine bits it is not");
    }

    #[test]
    fn an_expression_is_computed_in_the_width_of_its_context() {
        let (a, b) = (Word::new(u(8), 200), Word::new(u(8), 100));
        assert_eq!((a + b).get(), 44);
        assert_eq!(bit_cast(a + b, 9).get(), 300);
        assert!(a + b == Word::new(u(8), 44), "a comparison is as wide as its wider side");
        assert_eq!(((a + b) >> 1).get(), 22, "a right shift wraps first");
        assert_eq!(bit_cast(!a, 16).get(), 0xff37);
        assert_eq!((a * b).get(), 20000 & 255);
    }

    #[test]
    fn shifts_of_signed_words_are_arithmetic() {
        assert_eq!((Word::new(s(8), -128) >> 7).get(), -1);
        assert_eq!((Word::new(u(8), 128) >> 7).get(), 1);
        assert_eq!((Word::new(s(8), -1) >> 500).get(), -1);
        assert_eq!((Word::new(u(8), 255) << 200).get(), 0);
    }

    #[test]
    fn unsigned_words_of_128_bits_have_no_sign() {
        let (ones, top) = (Word::new(u(128), -1), Word::new(u(128), 1 << 127));
        assert_eq!((ones >> 127).get(), 1);
        assert_eq!((ones >> 128).get(), 0);
        assert_eq!(bit_cast(top >> 64, 64).get(), 1 << 63);
        assert!(top > Word::new(u(128), 1) && ones > top);
        assert!(ones.all() && !top.all() && top.any() && top.get_bit(127));
        assert_eq!(((top << 1) | Word::new(u(128), 3)).get(), 3);
        assert_eq!((!top).get(), i128::MAX);
        assert_eq!(bit_cast(ones, 64).get(), u64::MAX.into());
    }

    #[test]
    fn reductions() {
        assert!(Word::new(s(4), -1).all() && !Word::new(u(4), 14).all());
        assert!(Word::new(s(4), -8).xor() && !Word::new(u(4), 3).xor());
        assert!(Word::new(u(4), 2).any() && !Word::new(u(4), 0).any());
    }
}
