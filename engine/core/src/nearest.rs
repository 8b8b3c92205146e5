//! The nearest of several names to one that does not exist.

/// The name that was probably meant, if one is near enough to say so.
///
/// Dashes, underscores and capitals do not count, so `exampledns` is near `example-dns`.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
    let wrong = bare(wrong);
    let measured = names.into_iter().map(|name| {
        let right = bare(name);
        let grown = right.starts_with(&wrong) && wrong.len() >= 3
            || wrong.starts_with(&right) && right.len() >= 3;
        let distance = strsim::damerau_levenshtein(&wrong, &right);
        let allowed = (wrong.chars().count().max(right.chars().count()) + 1) / 3;
        (distance, grown || distance <= allowed, name)
    });
    measured
        .filter(|(_, near, _)| *near)
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["secrets", "settings", "uses", "grants", "example-dns"];
        let check = |wrong, want| assert_eq!(nearest(wrong, names), want, "{wrong}");
        check("secret", Some("secrets"));
        check("setting", Some("settings"));
        check("exampledns", Some("example-dns"));
        check("Grants", Some("grants"));
        check("use", Some("uses"));
        check("usespath", Some("uses"));
        check("webroot", None);
        check("x", None);
    }
}
