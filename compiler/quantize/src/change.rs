//! A recipe with some parameters of its formats changed, as text: what came out can be made again
//! from it by `pimc quantize`.

use crate::recipe::parse_recipe;
use pimc_ir::Diagnostics;
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// The parameters that can be changed, and the format that each belongs to.
pub const PARAMETERS: [(&str, &str); 8] = [
    ("k", "pq"),
    ("sub", "pq"),
    ("bases", "bqq"),
    ("block", "bqq"),
    ("effort", "bqq"),
    ("bits", "int"),
    ("group", "int"),
    ("density", "supermask"),
];

/// One change: in every layer of the parameter's format, or in one layer alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The layer's name; none changes all layers of the format.
    pub layer: Option<&'a str>,
    /// One of [`PARAMETERS`].
    pub key: &'a str,
    /// The value, as TOML writes it.
    pub value: &'a str,
}

/// The text with the changes made, and of each how many layers it changed.
///
/// # Errors
/// What is wrong with the recipe before it is changed.
pub fn changed(
    text: &str,
    file_name: &str,
    changes: &[Change<'_>],
) -> Result<(String, Vec<usize>), Diagnostics> {
    parse_recipe(text, file_name)?;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let mut counts = vec![0; changes.len()];
    // It has been parsed, so it is there.
    let document = DeTable::parse(text).ok();
    let layers = document.as_ref().and_then(|d| d.get_ref().get("layer"));
    for item in layers.and_then(|l| l.get_ref().as_array()).into_iter().flatten() {
        let Some(table) = item.get_ref().as_table() else { continue };
        let word = |key: &str| match table.get(key).map(|v| (v.get_ref(), v.span())) {
            Some((DeValue::String(text), span)) => Some((text.to_string(), span)),
            _ => None,
        };
        let (Some((name, _)), Some((format, format_at))) = (word("name"), word("format")) else {
            continue;
        };
        for (change, count) in changes.iter().zip(&mut counts) {
            let ours = PARAMETERS.contains(&(change.key, format.as_str()));
            // Only scores are cut at a density; that of a mask is a check of the mask.
            let fixed = change.key == "density" && !table.contains_key("scores");
            if !ours || fixed || change.layer.is_some_and(|l| l != name) {
                continue;
            }
            *count += 1;
            match table.get(change.key) {
                Some(old) => edits.push((old.span(), change.value.to_string())),
                None => {
                    let inline = text[item.span().start..].starts_with('{');
                    let separator = if inline { ", " } else { "\n" };
                    let line = format!("{separator}{} = {}", change.key, change.value);
                    edits.push((format_at.end..format_at.end, line));
                }
            }
        }
    }
    // From the end on, so that the places before stay right.
    edits.sort_by_key(|(at, _)| at.start);
    let mut out = text.to_string();
    for (at, value) in edits.into_iter().rev() {
        out.replace_range(at, &value);
    }
    Ok((out, counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "[[layer]] # first\nname = \"a\"\nweight = \"a\"\nformat = \"pq\" # books\nsub = 2\nk = 16 # many\n\
        [[layer]]\nname = \"b\"\nweight = \"b\"\nformat = \"bqq\"\nbases = 2\nblock = [128, 128]\n\
        [[layer]]\nname = \"c\"\nweight = \"c\"\nformat = \"pq\"\nsub = 4\nk = 8\n";

    fn change<'a>(layer: Option<&'a str>, key: &'a str, value: &'a str) -> Change<'a> {
        Change { layer, key, value }
    }

    #[test]
    fn values_are_replaced_in_the_layers_of_their_format() {
        let changes =
            [change(None, "k", "4"), change(Some("c"), "sub", "1"), change(None, "bits", "4")];
        let (text, counts) = changed(RECIPE, "r.toml", &changes).unwrap();
        let want = RECIPE.replace("k = 16", "k = 4").replace("k = 8", "k = 4");
        assert_eq!(text, want.replace("sub = 4", "sub = 1"));
        assert_eq!(counts, [2, 1, 0]);
    }

    #[test]
    fn what_is_not_written_is_added_behind_the_format() {
        let (text, counts) =
            changed(RECIPE, "r.toml", &[change(None, "effort", "\"fast\"")]).unwrap();
        let want = "format = \"bqq\"\neffort = \"fast\"\nbases";
        assert!(text.contains(want), "{text}");
        assert_eq!(counts, [1]);
        let inline = "layer = [{ name = \"a\", weight = \"a\", format = \"int\" }]\n";
        let (text, _) = changed(inline, "r.toml", &[change(None, "bits", "4")]).unwrap();
        assert!(text.contains("format = \"int\", bits = 4 }"), "{text}");
        assert!(parse_recipe(&text, "r.toml").is_ok());
    }

    #[test]
    fn a_wrong_recipe_is_refused_and_a_mask_keeps_its_density() {
        assert!(changed("x", "r.toml", &[]).is_err());
        let of = |source: &str| {
            let text = format!(
                "[[layer]]\nname = \"m\"\nformat = \"supermask\"\n{source} = \"m\"\ndensity = 0.5\n\
                 seed = 1\nlayer = 1\n"
            );
            changed(&text, "r.toml", &[change(None, "density", "0.25")]).unwrap().1
        };
        assert_eq!((of("mask"), of("scores")), (vec![0], vec![1]));
    }
}
