//! Stage banners with the place in the source that the stage serves.

use super::text::WIDTH;
use super::Provenance;

const BANNER: &str = "  // ---- ";

/// The text of a module with a place behind its banners: that of the module itself, or that of the
/// first instance below the banner that has one.
pub fn locate(text: &str, provenance: &Provenance) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let own = lines.iter().find_map(|l| module_of(l.strip_prefix("module ")?, provenance));
    let mut out = String::with_capacity(text.len());
    for (at, line) in lines.iter().enumerate() {
        let below = || lines[at + 1..].iter().take_while(|l| !l.starts_with(BANNER));
        let instance = || below().find_map(|l| module_of(l.trim_start(), provenance));
        let place = line.starts_with(BANNER).then(|| own.or_else(instance)).flatten();
        out += line;
        if let Some(place) = place.filter(|p| line.len() + 1 + p.len() <= WIDTH) {
            out.push(' ');
            out += place;
        }
        out.push('\n');
    }
    out
}

/// The place of the module whose name begins the line.
fn module_of<'a>(line: &str, provenance: &'a Provenance) -> Option<&'a str> {
    let name = line.split([' ', '(']).next().filter(|name| name.starts_with("pimc_"))?;
    provenance.of(name)?.place.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sv::UnitSource;

    #[test]
    fn banners_point_to_what_they_serve() {
        let unit = |module: &str, place: &str| UnitSource {
            module: module.into(),
            place: Some(place.into()),
            ..UnitSource::default()
        };
        let provenance = Provenance {
            units: vec![unit("pimc_mac", "a.ir:4:3"), unit("pimc_gated", "a.ir:5:3")],
            ..Provenance::default()
        };
        let parent = "module pimc_bank (\n  // ---- a ----\n  pimc_ram u_x (\n  pimc_mac_8 u_y (\n\
                      \n  // ---- b ----\n  assign x = y;\n";
        let located = parent.replace("a ----", "a ---- a.ir:4:3");
        assert_eq!(locate(parent, &provenance), located);
        let own = "module pimc_gated_3 (\n  // ---- b ----\n  pimc_mac_8 u_y (\n";
        assert_eq!(locate(own, &provenance), own.replace("b ----", "b ---- a.ir:5:3"));
        let long = format!("module pimc_gated_3 (\n  // ---- {} ----\n", "w".repeat(82));
        assert_eq!(locate(&long, &provenance), long, "no line passes the width");
    }
}
