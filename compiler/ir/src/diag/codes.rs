//! The numbers of the diagnostics: P01 text, P02 names, P03 types, P040 tensor files, P041 recipes,
//! P05 warnings, P06 targets and what fits them, P07 output trees, P08 sweeps. P041, P06, P07 and P08 are
//! raised by the crates that read recipes, lower to targets, write output trees and explore. All numbers stand here, so that
//! none is used twice, and each has a page in `explain/`.

macro_rules! codes {
    ($($code:ident $title:literal,)*) => {
        /// The number of a kind of mistake. Numbers are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $code,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$code,)*];

            /// `P0101` and so on.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$code => stringify!($code),)* }
            }

            /// Its page of the manual, in Markdown: what is wrong, an example, its message, and the
            /// example put right.
            pub fn page(self) -> &'static str {
                match self {
                    $(Code::$code => include_str!(concat!("../../explain/", stringify!($code), ".md")),)*
                }
            }

            /// What kind of mistake it is.
            pub fn title(self) -> &'static str {
                match self { $(Code::$code => $title,)* }
            }
        }
    };
}

codes! {
    P0101 "the file is not UTF-8 text",
    P0102 "the file cannot be read",
    P0103 "a line or the file is too long",
    P0104 "the version line is missing or names another version",
    P0105 "syntax error",
    P0106 "unknown statement",
    P0107 "unknown op",
    P0108 "unknown type",
    P0109 "wrong attribute",
    P0110 "number out of range",
    P0111 "wrong operands",
    P0112 "statement out of place",
    P0113 "a part of the module is missing",
    P0201 "name defined twice",
    P0202 "unknown name",
    P0203 "value used before its definition",
    P0204 "name of the wrong kind",
    P0301 "size out of range",
    P0302 "impossible weight type",
    P0303 "lengths do not agree",
    P0304 "element type not allowed here",
    P0305 "the result type cannot hold the result",
    P0306 "requantiser constant out of range",
    P0307 "slice out of bounds",
    P0308 "the returned value is not of the declared type",
    P0309 "impossible cache type",
    P0310 "constant of attention out of range",
    P0401 "tensor file cannot be opened",
    P0402 "not a safetensors file",
    P0403 "tensor missing",
    P0404 "tensor of the wrong dtype",
    P0405 "tensor of the wrong shape",
    P0406 "element out of range of its type",
    P0407 "supermask planes are not nested",
    P0408 "tensor file cannot be written",
    P0411 "a recipe's key is missing, unknown or of the wrong type",
    P0412 "a recipe's value is out of range",
    P0413 "a weight or a sample is not a finite number",
    P0414 "layers of a recipe do not fit together",
    P0415 "no usable scale",
    P0501 "never used",
    P0601 "a target file is not TOML",
    P0602 "a value of a target is missing",
    P0603 "a value of a target makes no sense",
    P0604 "unknown target",
    P0605 "unknown key of a target",
    P0606 "the model does not fit the target",
    P0607 "no unit is built for this shape",
    P0608 "a value is too wide for a word of vector memory",
    P0701 "error in a schedule program",
    P0702 "error in a memory image",
    P0703 "the output tree is damaged",
    P0704 "the output tree cannot be written",
    P0705 "something that is not an output tree stands in the way",
    P0706 "error in a command trace",
    P0801 "a sweep's key is unknown, or its value of the wrong type",
    P0802 "an axis of a sweep has no usable values",
    P0803 "a sweep over formats has no weights to quantize",
    P0804 "the folder of a sweep cannot be used",
}

impl Code {
    /// The code written `text`, in any case.
    pub fn from_text(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| c.as_str().eq_ignore_ascii_case(text))
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
