//! What is wrong with profiles, line by line on stderr (`cli.md` 3.6), and the sentence that ends it, with
//! the lines of the files that are meant.

use openshell_proto::v1::ProviderProfileDiagnostic;

use super::places::Places;
use crate::failure::Failure;
use crate::output::{Console, Paint};

const ERROR: &str = "error";

/// A diagnostic made on this side.
pub(super) fn local(source: &str, profile_id: &str, field: &str, message: &str) -> ProviderProfileDiagnostic {
    ProviderProfileDiagnostic {
        source: source.to_owned(),
        profile_id: profile_id.to_owned(),
        field: field.to_owned(),
        message: message.to_owned(),
        severity: ERROR.to_owned(),
    }
}

/// Whether any of them is more than a warning.
pub(super) fn has_error(diagnostics: &[ProviderProfileDiagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == ERROR)
}

/// Prints them and gives the failure that ends the command.
pub(super) fn rejected(
    operation: &str,
    diagnostics: &[ProviderProfileDiagnostic],
    places: &Places,
    console: &mut Console,
) -> Failure {
    console.note(&lines(diagnostics, console.paint_err));
    if let Some(sentence) = whole(diagnostics) {
        return Failure::new(sentence);
    }
    let advice = match operation {
        "lint" => "correct the files, then repeat the command",
        _ => "correct the files, then repeat the command; 'openshell provider profile lint' checks and changes nothing",
    };
    Failure::new(format!("provider profile {operation} failed: nothing was changed, the diagnostics say why"))
        .at(places.excerpts(diagnostics))
        .advise(advice)
}

/// The sentence of the only diagnostic; several are not told by that of one of them.
fn whole(diagnostics: &[ProviderProfileDiagnostic]) -> Option<String> {
    match diagnostics {
        [only] => sentence(only),
        _ => None,
    }
}

/// A missing target, or one that belongs to the product, is said in a sentence of its own. The words
/// looked for are the anchors of `providers.md` U-2 and U-3.
fn sentence(diagnostic: &ProviderProfileDiagnostic) -> Option<String> {
    if diagnostic.field != "id" {
        return None;
    }
    if diagnostic.message.contains("managed by source 'builtin'") {
        return Some(built_in(&diagnostic.profile_id));
    }
    diagnostic.message.contains("does not exist").then(|| not_found(&diagnostic.profile_id))
}

/// Nobody has such a profile.
pub(super) fn not_found(id: &str) -> String {
    format!("provider profile '{id}' not found: 'openshell provider list-profiles' shows the profiles")
}

/// The product has it.
pub(super) fn built_in(id: &str) -> String {
    format!("provider profile '{id}' is built-in and cannot be changed: export it, give it another id, and import that")
}

fn lines(diagnostics: &[ProviderProfileDiagnostic], paint: Paint) -> String {
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    let line = |diagnostic: &ProviderProfileDiagnostic| {
        format!(
            "\n  {} {} profile={} field={} {}",
            paint.red(&diagnostic.severity),
            or(&diagnostic.source, "<input>"),
            or(&diagnostic.profile_id, "-"),
            diagnostic.field,
            diagnostic.message
        )
    };
    paint.bold(&paint.red("Provider profile diagnostics:")) + &diagnostics.iter().map(line).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::{lines, local, sentence, whole};
    use crate::output::Paint;

    #[test]
    fn a_diagnostic_is_a_line_with_its_place() {
        let diagnostics = [local("p/a.yml", "a", "id", "taken"), local("", "", "file", "empty")];
        assert_eq!(
            lines(&diagnostics, Paint::plain()),
            "Provider profile diagnostics:\n  error p/a.yml profile=a field=id taken\n  error <input> profile=- field=file empty"
        );
    }

    #[test]
    fn cli_scenario_39_a_built_in_target_says_so_and_a_missing_one_is_not_found() {
        let words = |message: &str| sentence(&local("github", "github", "id", message)).unwrap_or_default();
        assert!(words("provider profile 'github' is managed by source 'builtin'").contains("built-in"));
        assert!(words("custom provider profile 'github' does not exist").contains("'github' not found"));
        assert_eq!(words("payload id 'x' differs"), "");
    }

    #[test]
    fn one_diagnostic_of_several_does_not_speak_for_all() {
        let missing = local("a.yml", "a", "id", "custom provider profile 'a' does not exist");
        let other = local("b.yml", "b", "endpoints[0].port", "it must be from 1 to 65535");
        assert!(whole(std::slice::from_ref(&missing)).is_some_and(|text| text.contains("'a' not found")));
        assert_eq!(whole(&[missing, other.clone()]), None);
        assert_eq!((whole(&[other]), whole(&[])), (None, None));
    }
}
